//! Which path leads where.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tower::Layer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::App;
use crate::domain::Hub;
use crate::guard;
use crate::handle::{
    chat, events, hub, mcp, mcp_upgrade, query, resources, retire, servers, share, sign_in, supervision,
    tokens, tools, transfer, validate,
};
use crate::mcp::{METADATA, endpoint, in_their_words, whole};
use crate::openapi::{AGENT, begun, finished};
use crate::problem::{Code, Problem};
use crate::settings::{Door, HttpSettings};

/// What a context offers, at whichever path it is mounted.
fn of_context() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(query::query))
        .routes(routes!(tools::list))
        .routes(routes!(tools::search))
        .routes(routes!(tools::show))
        .routes(routes!(tools::call))
        .routes(routes!(tools::call_objects))
        .route("/tools/call", get(tools::show_call))
        .route("/mcp/lines", get(mcp_upgrade::lines))
        .routes(routes!(servers::list, servers::add))
        .routes(routes!(servers::register))
        .routes(routes!(servers::show, servers::remove, share::replace, share::patch))
        .routes(routes!(share::entry))
        .routes(routes!(share::share, share::unshare))
        .routes(routes!(share::agents))
        .routes(routes!(share::config))
        .routes(routes!(share::add_all))
        .routes(routes!(share::reset))
        .routes(routes!(transfer::import))
        .routes(routes!(transfer::export))
        .routes(routes!(validate::validate))
        .routes(routes!(share::tool_settings, share::set_tool))
        .routes(routes!(share::calls))
        .routes(routes!(share::tool_stats))
        .routes(routes!(resources::list))
        .routes(routes!(resources::templates))
        .routes(routes!(resources::read))
        .routes(routes!(resources::prompts))
        .routes(routes!(resources::prompt))
        .routes(routes!(servers::attach))
        .routes(routes!(servers::detach))
        .routes(routes!(servers::restart))
        .routes(routes!(servers::wait))
        .routes(routes!(servers::output))
        .routes(routes!(sign_in::login, sign_in::sign_in, sign_in::logout))
        .routes(routes!(supervision::check))
        .routes(routes!(supervision::check_all))
        .routes(routes!(supervision::connect))
        .routes(routes!(supervision::disconnect))
        .routes(routes!(supervision::refresh))
        .routes(routes!(supervision::alerts, supervision::raise, supervision::clear))
        .routes(routes!(supervision::stats))
        .routes(routes!(supervision::recent))
        .routes(routes!(chat::history, chat::clear))
        .routes(routes!(events::events))
        .routes(routes!(hub::health))
        .routes(routes!(mcp::post, mcp::get, mcp::delete))
}

/// What there is once.
fn of_hub() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(hub::metrics))
        .routes(routes!(hub::doctor))
        .routes(routes!(hub::rescan))
        .routes(routes!(hub::clean))
        .routes(routes!(transfer::dump))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(supervision::supervision, supervision::set_supervision))
}

/// The description of the API (OpenAPI 3.1).
pub fn openapi() -> utoipa::openapi::OpenApi {
    let all =
        OpenApiRouter::with_openapi(begun()).merge(of_context()).merge(of_hub()).nest(AGENT, of_context());
    finished(all.into_openapi())
}

/// The hub over HTTP: REST, events, documentation.
///
/// The door decides who is let in; it must be the one behind which the router is served.
pub fn router(hub: Hub, settings: HttpSettings, door: Door) -> Router {
    let app = App::new(hub, settings, door);
    let store = Router::from(of_context().merge(of_hub())).route("/retire", post(retire::retire));
    let agent = Router::from(of_context());
    let inside = Router::new()
        .merge(store.route_layer(from_fn_with_state(app.clone(), guard::into_store)))
        .nest(AGENT, agent.route_layer(from_fn_with_state(app.clone(), guard::into_agent)))
        .route(METADATA, get(whole))
        .route(&format!("{METADATA}/{{*path}}"), get(endpoint))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
        .fallback(|| async { Problem::new(Code::NotFound, "see /docs for what there is") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "see /docs for what there is")
        })
        .layer(DefaultBodyLimit::max(app.settings().max_body_bytes))
        .with_state(app.clone());
    // Around the router and not, as `Router::layer` has it, around each of its routes: there every
    // layer is a box that is cloned with each request, with all that are in it.
    let cors = cors(&app.settings().allowed_origins);
    let guarded = cors.layer(from_fn_with_state(app, entrance).layer(inside));
    Router::new().fallback_service(plainly().layer(guarded))
}

/// What each request goes through before it is looked at.
async fn entrance(State(app): State<App>, request: Request, next: Next) -> Response {
    in_their_words(request, |request| guard::door(app, request, next)).await
}

/// Lets pages of the named origins read answers; pages of others never can.
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> =
        origins.iter().filter_map(|origin| origin.trim_end_matches('/').parse().ok()).collect();
    if origins.is_empty() {
        return CorsLayer::new();
    }
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        // Tools may ask for headers of their own (`Mcp-Param-…`), so there is no list of all.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            HeaderName::from_static("dormouse-connecting"),
            HeaderName::from_static("mcp-session-id"),
            header::WWW_AUTHENTICATE,
        ])
}

/// Keeps browsers from guessing that an answer is something else than it says.
fn plainly() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}
