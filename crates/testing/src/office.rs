//! A small OAuth 2.1 authorisation server and a protected MCP server, on one port of 127.0.0.1.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde_json::{Value, json};
use url::Url;

type Fields = HashMap<String, String>;

/// How the server behaves.
#[derive(Debug, Clone)]
pub struct Habits {
    /// Of an access token.
    pub lifetime: Duration,
    /// Whether it takes clients by itself.
    pub registers: bool,
    /// Whether the person says no.
    pub denies: bool,
    /// Which scope the resource wants, if any.
    pub wants: Option<&'static str>,
    /// The token endpoint answers only by 503.
    pub is_down: bool,
    /// Where the metadata says that tokens are; `None` is the true place.
    pub token_endpoint: Option<String>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(3600),
            registers: true,
            denies: false,
            wants: None,
            is_down: false,
            token_endpoint: None,
        }
    }
}

/// What it remembers.
#[derive(Debug, Default)]
pub struct Books {
    clients: HashMap<String, Vec<String>>,
    codes: HashMap<String, Fields>,
    /// Access tokens with their end and scopes.
    access: HashMap<String, (Instant, String)>,
    /// Refresh tokens with their scopes; each counts once.
    refresh: HashMap<String, String>,
    used: HashSet<String>,
    /// How many tokens were refreshed.
    pub refreshed: usize,
    /// How many codes and secrets were exchanged for tokens.
    pub exchanged: usize,
    /// How many clients were registered.
    pub registered: usize,
    /// For which servers tokens were asked.
    pub resources: HashSet<String>,
    next: u64,
}

/// The two of them. They end with this value.
#[derive(Debug)]
pub struct Office {
    /// The address of the protected server.
    pub url: Url,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    base: String,
    habits: Mutex<Habits>,
    books: Mutex<Books>,
}

impl Drop for Office {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Office {
    /// Begins to listen.
    pub async fn open(habits: Habits) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inner =
            Arc::new(Inner { base: base.clone(), habits: Mutex::new(habits), books: Mutex::default() });
        let app = Router::new()
            .route("/mcp", get(resource).post(resource))
            .route("/.well-known/oauth-protected-resource/mcp", get(about_resource))
            .route("/.well-known/oauth-authorization-server", get(about_office))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url: Url::parse(&format!("{base}/mcp")).unwrap(), inner, task }
    }

    /// Changes its habits.
    pub fn change(&self, change: impl FnOnce(&mut Habits)) {
        change(&mut self.inner.habits.lock().unwrap());
    }

    /// Looks into what it remembers, or changes it.
    pub fn books<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.inner.books.lock().unwrap())
    }

    /// Makes every access token end now, by the server's own clock only.
    pub fn revoke_access(&self) {
        self.books(|books| books.access.clear());
    }

    /// Makes no refresh token count any more.
    pub fn revoke_all(&self) {
        self.books(|books| {
            books.access.clear();
            books.refresh.clear();
        });
    }

    /// Whether the resource lets a token in.
    pub fn accepts(&self, token: &str) -> bool {
        self.inner.entry(Some(token)).is_ok()
    }

    /// The challenge that the resource answers to a token.
    pub fn challenge(&self, token: &str) -> String {
        self.inner.entry(Some(token)).unwrap_err().1
    }
}

impl Inner {
    fn entry(&self, token: Option<&str>) -> Result<(), (StatusCode, String)> {
        let about = format!("{}/.well-known/oauth-protected-resource/mcp", self.base);
        let books = self.books.lock().unwrap();
        let known =
            token.and_then(|token| books.access.get(token)).filter(|(ends, _)| *ends > Instant::now());
        let Some((_, scopes)) = known else {
            return Err((StatusCode::UNAUTHORIZED, format!("Bearer resource_metadata=\"{about}\"")));
        };
        match self.habits.lock().unwrap().wants {
            Some(wants) if !scopes.split(' ').any(|scope| scope == wants) => Err((
                StatusCode::FORBIDDEN,
                format!(
                    "Bearer error=\"insufficient_scope\", scope=\"{wants}\", resource_metadata=\"{about}\""
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl Books {
    fn fresh(&mut self, kind: &str) -> String {
        self.next += 1;
        // Long and marked, so that a leak is found by looking for it.
        format!("{kind}-s3cret-{}-{}", self.next, challenge_of(&self.next.to_string()))
    }

    fn grant(&mut self, lifetime: Duration, scopes: &str, renewable: bool) -> Value {
        let access = self.fresh("access");
        self.access.insert(access.clone(), (Instant::now() + lifetime, scopes.to_owned()));
        let mut answer = json!({
            "access_token": access, "token_type": "Bearer",
            "expires_in": lifetime.as_secs(), "scope": scopes,
        });
        if renewable {
            let refresh = self.fresh("refresh");
            self.refresh.insert(refresh.clone(), scopes.to_owned());
            answer["refresh_token"] = refresh.into();
        }
        answer
    }
}

async fn resource(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Err((status, challenge)) = inner.entry(token.and_then(|value| value.strip_prefix("Bearer "))) {
        return (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    };
    let Some(id) = asked.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let result = match asked["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "guarded", "version": "1"},
        }),
        Some("ping") => json!({}),
        Some("tools/list") => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
        Some("tools/call") => {
            json!({"content": [{"type": "text", "text": asked["params"]["arguments"]["text"]}]})
        }
        _ => {
            let error = json!({"code": -32601, "message": "no such method"});
            return Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
}

async fn about_resource(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({
        "resource": format!("{}/mcp", inner.base),
        "authorization_servers": [inner.base],
        "scopes_supported": ["read"],
    }))
}

async fn about_office(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let base = &inner.base;
    let habits = inner.habits.lock().unwrap();
    let tokens = habits.token_endpoint.clone().unwrap_or_else(|| format!("{base}/token"));
    let mut about = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": tokens,
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    if habits.registers {
        about["registration_endpoint"] = format!("{base}/register").into();
    }
    Json(about)
}

async fn register(State(inner): State<Arc<Inner>>, Json(asked): Json<Value>) -> (StatusCode, Json<Value>) {
    let mut books = inner.books.lock().unwrap();
    books.registered += 1;
    let id = books.fresh("client");
    let uris = asked["redirect_uris"].as_array().unwrap();
    books.clients.insert(id.clone(), uris.iter().map(|uri| uri.as_str().unwrap().to_owned()).collect());
    (StatusCode::CREATED, Json(json!({"client_id": id, "redirect_uris": uris})))
}

async fn authorize(State(inner): State<Arc<Inner>>, Query(asked): Query<Fields>) -> Response {
    let mut books = inner.books.lock().unwrap();
    let redirect = &asked["redirect_uri"];
    let configured = asked["client_id"] == "configured";
    if !configured && !books.clients.get(&asked["client_id"]).is_some_and(|uris| uris.contains(redirect)) {
        return (StatusCode::BAD_REQUEST, "who are you?").into_response();
    }
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["code_challenge_method"], "S256");
    let mut back = Url::parse(redirect).unwrap();
    if inner.habits.lock().unwrap().denies {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let code = books.fresh("code");
        back.query_pairs_mut().append_pair("code", &code);
        books.codes.insert(code, asked.clone());
    }
    back.query_pairs_mut().append_pair("state", &asked["state"]).append_pair("iss", &inner.base);
    Redirect::to(back.as_str()).into_response()
}

async fn token(State(inner): State<Arc<Inner>>, Form(asked): Form<Fields>) -> Response {
    let habits = inner.habits.lock().unwrap().clone();
    if habits.is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut books = inner.books.lock().unwrap();
    books.resources.insert(asked["resource"].clone());
    let refuse = |code: &str, words: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({"error": code, "error_description": words}))).into_response()
    };
    match asked["grant_type"].as_str() {
        "authorization_code" => {
            books.exchanged += 1;
            let Some(began) = books.codes.remove(&asked["code"]) else {
                return refuse("invalid_grant", "no such code");
            };
            if challenge_of(&asked["code_verifier"]) != began["code_challenge"]
                || asked["redirect_uri"] != began["redirect_uri"]
                || asked["client_id"] != began["client_id"]
            {
                return refuse("invalid_grant", "not yours");
            }
            let scopes = began.get("scope").cloned().unwrap_or_default();
            Json(books.grant(habits.lifetime, &scopes, true)).into_response()
        }
        "refresh_token" => {
            let old = asked["refresh_token"].clone();
            if !books.used.insert(old.clone()) {
                // Whoever shows a token twice may be a thief: OAuth 2.1 ends the whole grant.
                books.refresh.clear();
            }
            let Some(scopes) = books.refresh.remove(&old) else {
                return refuse("invalid_grant", &format!("the token {old} does not count"));
            };
            books.refreshed += 1;
            Json(books.grant(habits.lifetime, &scopes, true)).into_response()
        }
        "client_credentials" => {
            if (asked["client_id"].as_str(), asked["client_secret"].as_str()) != ("robot", "robot-s3cret") {
                return refuse("invalid_client", "unknown robot-s3cret");
            }
            books.exchanged += 1;
            let scopes = asked.get("scope").cloned().unwrap_or_default();
            Json(books.grant(habits.lifetime, &scopes, false)).into_response()
        }
        other => panic!("{other}"),
    }
}

/// PKCE's S256: the base64url of the verifier's SHA-256.
fn challenge_of(verifier: &str) -> String {
    use base64::Engine;
    use sha2::Digest;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier))
}
