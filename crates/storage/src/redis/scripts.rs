//! The changes as Lua, since each is one step: looked at, made, counted and told at once.
//!
//! Scripts say their flags in the first line, so that a full or read-only Redis refuses them
//! before they begin. That needs Redis 7.

use serde_json::{Value, json};

use crate::{StorageError, Table, Write};

/// Answers the format and the version, and changes nothing.
pub(super) const HELLO: &str = "#!lua flags=no-writes
return redis.call('HMGET', KEYS[1], 'format', 'version')";

/// Keys: meta, then the tables and duties. Arguments: channel, message, format, then four for each
/// change: what, number of the table or duty, key, value. Answers the new version, or (number of the
/// change, what stands there) for the first expectation that is not met.
const RECORDS: &str = "
for at = 4, #ARGV, 4 do
  local what, records, key, value = ARGV[at], KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], ARGV[at + 3]
  if what == 'is' or what == 'none' then
    local found = redis.call('HGET', records, key)
    if (what == 'is' and found ~= value) or (what == 'none' and found) then
      return {(at - 4) / 4, found}
    end
  end
  if what == 'led' and redis.call('HGET', records, 'fence') ~= value then
    return {(at - 4) / 4, false}
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

/// Keys: the duty, meta. Arguments: hub, lease in milliseconds. Answers the fence, or 0 while another
/// hub holds the duty. All duties count together, so that nothing is left of one that has ended.
pub(super) const LEAD: &str = "#!lua
local held = redis.call('HMGET', KEYS[1], 'hub', 'fence')
if held[1] and held[1] ~= ARGV[1] then return 0 end
local fence = held[2]
if not held[1] then
  fence = redis.call('HINCRBY', KEYS[2], 'fence', 1)
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
    /// Those that it changes.
    written: Vec<Table>,
    /// The duties under which it is made, behind the tables.
    duties: Vec<String>,
    /// The texts that stand for expected values, by the number of the change.
    texts: Vec<Option<String>>,
    message: String,
}

impl Batch {
    /// `number` counts the batches of this hub.
    pub(super) fn new(changes: Vec<Write>, hub: &str, number: u64) -> Self {
        let (mut tables, mut written, mut duties) = (Vec::new(), Vec::new(), Vec::new());
        for change in &changes {
            let (table, writes) = match change {
                Write::Put { table, .. } | Write::Delete { table, .. } => (*table, true),
                Write::Expect { table, .. } => (*table, false),
                Write::Led { duty, .. } => {
                    if !duties.contains(duty) {
                        duties.push(duty.clone());
                    }
                    continue;
                }
            };
            if !tables.contains(&table) {
                tables.push(table);
            }
            if writes && !written.contains(&table) {
                written.push(table);
            }
        }
        let names: Vec<_> = written.iter().map(|table| table.as_str()).collect();
        let message = match names.is_empty() {
            true => String::new(),
            false => json!({"hub": hub, "batch": number, "tables": names}).to_string(),
        };
        let texts = changes
            .iter()
            .map(|change| match change {
                Write::Expect { value: Some(value), .. } => Some(value.to_string()),
                _ => None,
            })
            .collect();
        Self { changes, tables, written, duties, texts, message }
    }

    /// What only makes room may be done when there is none.
    pub(super) fn script(&self) -> String {
        let makes_room = !self.changes.iter().any(|change| matches!(change, Write::Put { .. }));
        format!("#!lua{}{RECORDS}", if makes_room { " flags=allow-oom" } else { "" })
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(super) fn written(&self) -> &[Table] {
        &self.written
    }

    pub(super) fn duties(&self) -> &[String] {
        &self.duties
    }

    pub(super) fn arguments(&self, channel: &str, format: u64) -> Vec<String> {
        let mut arguments = vec![channel.to_owned(), self.message.clone(), format.to_string()];
        for (change, text) in self.changes.iter().zip(&self.texts) {
            let (what, place, key, value) = match change {
                Write::Put { table, key, value } => {
                    ("put", self.place(*table), key.clone(), value.to_string())
                }
                Write::Delete { table, key } => ("delete", self.place(*table), key.clone(), String::new()),
                Write::Expect { table, key, .. } => match text {
                    Some(text) => ("is", self.place(*table), key.clone(), text.clone()),
                    None => ("none", self.place(*table), key.clone(), String::new()),
                },
                Write::Led { duty, fence } => {
                    let place = self.duties.iter().position(|known| known == duty);
                    let place = self.tables.len() + place.expect("every duty is listed");
                    ("led", place, String::new(), fence.0.to_string())
                }
            };
            // The first key is meta, and Lua counts from 1.
            arguments.extend([what.to_owned(), (place + 2).to_string(), key, value]);
        }
        arguments
    }

    fn place(&self, table: Table) -> usize {
        self.tables.iter().position(|known| *known == table).expect("every table is listed")
    }

    /// Takes over the text that stands there, if it is the expected value in another spelling; else
    /// answers why the batch is too late.
    pub(super) fn agree(&mut self, number: usize, found: Option<&str>) -> Result<(), StorageError> {
        let (table, value) = match self.changes.get(number) {
            Some(Write::Expect { table, value, .. }) => (*table, value),
            Some(Write::Led { duty, .. }) => return Err(StorageError::Fenced { duty: duty.clone() }),
            _ => return Err(self.conflict()),
        };
        let parsed = found.and_then(|text| serde_json::from_str::<Value>(text).ok());
        if value.is_none() || parsed != *value {
            return Err(StorageError::Conflict { table: table.as_str() });
        }
        self.texts[number] = found.map(str::to_owned);
        Ok(())
    }

    /// What is said where somebody else was faster.
    pub(super) fn conflict(&self) -> StorageError {
        StorageError::Conflict { table: self.tables.first().map_or("records", |table| table.as_str()) }
    }
}
