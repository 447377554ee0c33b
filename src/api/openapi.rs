//! The OpenAPI description.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::error::{ApiError, ErrorBody};
use super::router::every_route;
use crate::domain::error_code::ErrorCode;

/// The parts of the description besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cabildo",
        description = "Sessions, media and operation of a Cabildo server. The descriptions of error responses list the stable codes that can occur. Where `Idempotency-Key` is described, the same request with the same key is carried out once within a day and answered as the first time, with `Idempotency-Replayed: true`; with other contents it is refused. A key is of one caller in one tenant. Other writes change nothing when they come twice."
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "sessions", description = "Governed meetings"),
        (name = "media", description = "WHIP (RFC 9725) and WHEP"),
        (name = "attendance", description = "Who is present and by what proof, units, delegations, quorum, the report of a person"),
        (name = "transcript", description = "What was said, as text, and the minutes"),
        (name = "events", description = "What happens in the sessions of a tenant, as it happens"),
        (name = "evidence", description = "Proofs that anybody can verify; docs/EVIDENCE.md defines their format"),
        (name = "recordings", description = "Playing recordings"),
        (name = "cameras", description = "Cameras of tenants: provisioning and who may watch them"),
        (name = "captures", description = "Publications of edge devices"),
        (name = "operation", description = "Health, metrics and this description"),
        (name = "development", description = "Only with --dev"),
    )
)]
struct Description;

/// The security schemes.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("Reads: only the access token."))
            .build();
        let dpop = ApiKeyValue::with_description(
            "DPoP",
            "Writes by people: `Authorization: DPoP <token>` and this proof of possession \
             (RFC 9449) with the nonce of the last `DPoP-Nonce` header.",
        );
        let schemes = [
            ("bearer", SecurityScheme::Http(bearer)),
            ("dpop", SecurityScheme::ApiKey(ApiKey::Header(dpop))),
            (
                "service",
                SecurityScheme::MutualTls {
                    description: Some(
                        "Services: a client certificate on the internal listener.".to_owned(),
                    ),
                    extensions: None,
                    deprecated: None,
                },
            ),
        ];
        let components = openapi.components.get_or_insert_default();
        for (name, scheme) in schemes {
            components.add_security_scheme(name, scheme);
        }
    }
}

/// Adds every code that `Error.code` can have.
struct Codes;

impl Modify for Codes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::Type};
        let codes = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Stable code of the problem."))
            .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())))
            .build();
        let components = openapi.components.get_or_insert_default();
        if let Some(RefOr::T(Schema::Object(error))) = components.schemas.get_mut("Error") {
            error.properties.insert("code".to_owned(), codes.into());
        }
    }
}

/// The whole description, including the development routes.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Description::openapi();
    document.merge(every_route().into_openapi());
    // The router writes a parameter of several path segments as `{*path}`.
    let paths = std::mem::take(&mut document.paths.paths);
    let plain = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item));
    document.paths.paths = plain.collect();
    Schemes.modify(&mut document);
    Codes.modify(&mut document);
    document
}

/// Returns this description.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn describe() -> Response {
    // Made once, since anybody may request it and making it takes as long as many requests.
    static TEXT: LazyLock<Option<Bytes>> =
        LazyLock::new(|| serde_json::to_vec(&document()).ok().map(Bytes::from));
    match &*TEXT {
        Some(text) => ([(CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        None => ApiError::new(ErrorCode::Internal, "the description can't be made").into_response(),
    }
}
