//! The changes as Lua, since each is one step: looked at, made, counted and told at once.
//!
//! Scripts say their flags in the first line, so that a full or read-only Redis refuses them
//! before they begin. That needs Redis 7.

use serde_json::{Value, json};

use crate::{Table, Write};

/// Answers the format and the version, and changes nothing.
pub(super) const HELLO: &str = "#!lua flags=no-writes
return redis.call('HMGET', KEYS[1], 'format', 'version')";

/// Keys: meta, then the tables. Arguments: channel, message, format, then four for each change: what,
/// number of the table, key, value. Answers the new version, or (number of the change, what stands there)
/// for the first expectation that is not met.
const RECORDS: &str = "
for at = 4, #ARGV, 4 do
  local what, records, key, value = ARGV[at], KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], ARGV[at + 3]
  if what == 'is' or what == 'none' then
    local found = redis.call('HGET', records, key)
    if (what == 'is' and found ~= value) or (what == 'none' and found) then
      return {(at - 4) / 4, found}
    end
  end
end
if ARGV[2] == '' then return 0 end
local version = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSETNX', KEYS[1], 'format', ARGV[3])
for at = 4, #ARGV, 4 do
  local what, records, key, value = ARGV[at], KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], ARGV[at + 3]
  if what == 'put' then redis.call('HSET', records, key, value) end
  if what == 'delete' then redis.call('HDEL', records, key) end
end
redis.call('PUBLISH', ARGV[1], string.format('%.0f', version) .. ' ' .. ARGV[2])
return version";

/// Keys: conversation, list of conversations, meta. Arguments: name of the conversation, how many are
/// kept, format, then the messages.
pub(super) const APPEND: &str = "#!lua
redis.call('RPUSH', KEYS[1], unpack(ARGV, 4))
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('HSETNX', KEYS[3], 'format', ARGV[3])
return 1";

/// Keys: conversation, list of conversations. Argument: name of the conversation.
pub(super) const CLEAR: &str = "#!lua flags=allow-oom
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return 1";

/// Keys: the duty, the fences of all duties. Arguments: hub, lease in milliseconds, duty. Answers the
/// fence, or 0 while another hub holds the duty.
pub(super) const LEAD: &str = "#!lua
local held = redis.call('HMGET', KEYS[1], 'hub', 'fence')
if held[1] and held[1] ~= ARGV[1] then return 0 end
local fence = held[2]
if not held[1] then
  fence = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
  redis.call('HSET', KEYS[1], 'hub', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(fence)";

/// Keys: the duty. Argument: hub.
pub(super) const RELEASE: &str = "#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'hub') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// One batch of changes, ready to be sent.
#[derive(Debug)]
pub(super) struct Batch {
    changes: Vec<Write>,
    /// The tables that it names, in the order of their keys.
    tables: Vec<Table>,
    /// The texts that stand for expected values, by the number of the change.
    texts: Vec<Option<String>>,
    message: String,
}

impl Batch {
    pub(super) fn new(changes: Vec<Write>, hub: &str) -> Self {
        let (mut tables, mut written) = (Vec::new(), Vec::new());
        for change in &changes {
            let (table, writes) = match change {
                Write::Put { table, .. } | Write::Delete { table, .. } => (*table, true),
                Write::Expect { table, .. } => (*table, false),
            };
            if !tables.contains(&table) {
                tables.push(table);
            }
            if writes && !written.contains(&table) {
                written.push(table);
            }
        }
        let names: Vec<_> = written.iter().map(|table| table.as_str()).collect();
        let message =
            if names.is_empty() { String::new() } else { json!({"hub": hub, "tables": names}).to_string() };
        let texts = changes
            .iter()
            .map(|change| match change {
                Write::Expect { value: Some(value), .. } => Some(value.to_string()),
                _ => None,
            })
            .collect();
        Self { changes, tables, texts, message }
    }

    /// What only makes room may be done when there is none.
    pub(super) fn script(&self) -> String {
        let makes_room = !self.changes.iter().any(|change| matches!(change, Write::Put { .. }));
        format!("#!lua{}{RECORDS}", if makes_room { " flags=allow-oom" } else { "" })
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(super) fn arguments(&self, channel: &str, format: u64) -> Vec<String> {
        let mut arguments = vec![channel.to_owned(), self.message.clone(), format.to_string()];
        for (change, text) in self.changes.iter().zip(&self.texts) {
            let (what, table, key, value) = match change {
                Write::Put { table, key, value } => ("put", table, key, value.to_string()),
                Write::Delete { table, key } => ("delete", table, key, String::new()),
                Write::Expect { table, key, .. } => match text {
                    Some(text) => ("is", table, key, text.clone()),
                    None => ("none", table, key, String::new()),
                },
            };
            let place = self.tables.iter().position(|known| known == table).expect("every table is listed");
            // The first key is meta, and Lua counts from 1.
            arguments.extend([what.to_owned(), (place + 2).to_string(), key.clone(), value]);
        }
        arguments
    }

    /// Takes over the text that stands there, if it is the expected value in another spelling; else
    /// answers the table in which the batch is too late.
    pub(super) fn agree(&mut self, number: usize, found: Option<&str>) -> Result<(), Table> {
        let Some(Write::Expect { table, value, .. }) = self.changes.get(number) else {
            return Err(self.tables[0]);
        };
        let parsed = found.and_then(|text| serde_json::from_str::<Value>(text).ok());
        if value.is_none() || parsed != *value {
            return Err(*table);
        }
        self.texts[number] = found.map(str::to_owned);
        Ok(())
    }
}
