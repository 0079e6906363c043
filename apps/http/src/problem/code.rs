//! Every code that a problem can have, with its status and title.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares the codes once: variant, status, and what it means.
macro_rules! codes {
    ($($variant:ident = $text:literal, $status:ident, $title:literal;)+) => {
        /// What went wrong, for programs. Codes are added, never renamed; `docs/errors.md` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $(#[doc = $title] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it stands in a problem.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The status that goes with it.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// What it means, the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not JSON";
    BadRequest = "bad_request", BAD_REQUEST, "The request cannot be read";
    Unauthorized = "unauthorized", UNAUTHORIZED, "The request needs a valid token";
    Forbidden = "forbidden", FORBIDDEN, "The token does not open this";
    HostRefused = "host_refused", FORBIDDEN, "The hub is not known under this host name";
    OriginRefused = "origin_refused", FORBIDDEN, "Pages of this origin may not call the hub";
    OutsideDropFolder = "outside_drop_folder", FORBIDDEN, "Scripts are only accepted from drop folders";
    NotFound = "not_found", NOT_FOUND, "Nothing is served at this path";
    UnknownTool = "unknown_tool", NOT_FOUND, "No tool has this name";
    UnknownServer = "unknown_server", NOT_FOUND, "No server has this name";
    UnknownResource = "unknown_resource", NOT_FOUND, "No server offers this resource or prompt";
    NotConfigured = "not_configured", NOT_FOUND, "The server has no entry in mcp.json";
    UnknownToken = "unknown_token", NOT_FOUND, "No token has this name";
    ScriptNotFound = "script_not_found", NOT_FOUND, "There is no such script";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not take this method";
    AmbiguousTool = "ambiguous_tool", CONFLICT, "Several tools have this name";
    AmbiguousServer = "ambiguous_server", CONFLICT, "Several servers are shown under this name";
    AmbiguousResource = "ambiguous_resource", CONFLICT, "Several servers offer this resource or prompt";
    NotYours = "not_yours", FORBIDDEN, "This belongs to somebody else";
    NameConflict = "name_conflict", CONFLICT, "The name is taken";
    ChangedMeanwhile = "changed_meanwhile", CONFLICT, "Somebody else changed it meanwhile";
    ServerStopped = "server_stopped", CONFLICT, "The server is stopped";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    QueryTooLong = "query_too_long", PAYLOAD_TOO_LARGE, "The query is too long";
    UriTooLong = "uri_too_long", URI_TOO_LONG, "The address is too long";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be sent as application/json";
    InvalidRequest = "invalid_request", UNPROCESSABLE_ENTITY, "The request has the wrong shape";
    InvalidName = "invalid_name", UNPROCESSABLE_ENTITY, "This cannot be a name";
    InvalidArguments = "invalid_arguments", UNPROCESSABLE_ENTITY, "The arguments do not fit the tool";
    InvalidEntry = "invalid_entry", UNPROCESSABLE_ENTITY, "The entry describes no server";
    OutOfRange = "out_of_range", UNPROCESSABLE_ENTITY, "A setting cannot have this value";
    EmptyQuery = "empty_query", UNPROCESSABLE_ENTITY, "The query is empty";
    NotAServer = "not_a_server", UNPROCESSABLE_ENTITY, "The script is no server";
    NotSupported = "not_supported", UNPROCESSABLE_ENTITY, "The hub cannot do this";
    StorageUnreachable = "storage_unreachable", SERVICE_UNAVAILABLE, "The shared storage cannot be reached";
    Internal = "internal", INTERNAL_SERVER_ERROR, "The hub made a mistake";
    StorageFailed = "storage_failed", INTERNAL_SERVER_ERROR, "What is remembered cannot be reached";
    ConfigFailed = "config_failed", INTERNAL_SERVER_ERROR, "mcp.json cannot be changed";
    FileFailed = "file_failed", INTERNAL_SERVER_ERROR, "The file cannot be deleted";
    ServerFailed = "server_failed", BAD_GATEWAY, "The server failed during the call";
    ServerRefused = "server_refused", BAD_GATEWAY, "The server refused the call";
    StartFailed = "start_failed", BAD_GATEWAY, "The server did not start";
    SignInNeeded = "sign_in_needed", BAD_GATEWAY, "The server wants a sign-in";
    SignInFailed = "sign_in_failed", BAD_GATEWAY, "The sign-in at the server failed";
    ServerResting = "server_resting", SERVICE_UNAVAILABLE, "The server failed too often and is left alone for a while";
    ServerBusy = "server_busy", SERVICE_UNAVAILABLE, "As many calls run at the server as may";
    TooManyClients = "too_many_clients", SERVICE_UNAVAILABLE, "As many clients are connected as may be";
    Ending = "ending", SERVICE_UNAVAILABLE, "The hub is ending";
    Late = "late", GATEWAY_TIMEOUT, "The server did not answer in time";
    StateNotReached = "state_not_reached", GATEWAY_TIMEOUT, "The server did not reach the state in time";
    StorageFull = "storage_full", INSUFFICIENT_STORAGE, "No room is left to remember anything";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_that_serde_writes() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn the_table_in_the_manual_lists_every_code() {
        let manual = include_str!("../../../../docs/errors.md");
        let rows: Vec<&str> = manual.lines().filter(|line| line.starts_with("| `")).collect();
        for code in Code::ALL {
            let row = format!("| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.title());
            assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/errors.md has no row `{row} … |`");
        }
        let listed = rows.iter().filter(|row| row.split(" | ").count() == 4).count();
        assert_eq!(listed, Code::ALL.len(), "docs/errors.md lists a code that does not exist");
    }
}
