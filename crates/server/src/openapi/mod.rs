//! The server's description of itself: an OpenAPI 3.1 document, and a page that shows it.
//!
//! `operations` lists paths and methods, `bodies` has the schemas of requests; those of responses are generated from the types
//! of `mynah_api`.

use axum::Json;
use axum::response::Html;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

mod bodies;
mod operations;

use operations::{Answer, OPERATIONS, Operation};

/// A page that contains and renders the document without loading anything.
const PAGE: &str = include_str!("page.html");
/// Where the document is inserted into the page.
const PLACEHOLDER: &str = "\"the document\"";

/// `GET /openapi.json`.
pub(crate) async fn openapi() -> Json<Value> {
    Json(document())
}

/// `GET /docs` and `GET /`.
pub(crate) async fn docs() -> Html<String> {
    // `</` could end the script element.
    Html(PAGE.replace(PLACEHOLDER, &document().to_string().replace("</", "<\\/")))
}

/// The document.
fn document() -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation, &mut schemas);
    }
    let error = schemas.subschema_for::<mynah_api::ErrorBody>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mynah",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Speech to text and text to speech",
            "description": "The audio API of OpenAI and that of Xinference, on one address. Errors carry OpenAI's object in \
                            `error` and Xinference's text in `detail`.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "tags": operations::TAGS.map(|(name, description)| json!({"name": name, "description": description})),
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": {"error": {
                "description": "An error, with its message",
                "content": {"application/json": {"schema": error}},
            }},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "Required if the server has API keys"}},
        },
    })
}

fn described(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": operation_id(operation),
        "responses": {"default": {"$ref": "#/components/responses/error"}},
    });
    let status = if matches!(operation.answer, Answer::Made(_)) { "201" } else { "200" };
    described["responses"][status] = answer(&operation.answer, schemas);
    let parameters: Vec<Value> = path_parameters(operation.path)
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .chain(operation.query.iter().map(|(name, kind, about)| {
            json!({"name": name, "in": "query", "description": about, "schema": {"type": kind}})
        }))
        .collect();
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = body(schemas);
    }
    described
}

fn answer(answer: &Answer, schemas: &mut SchemaGenerator) -> Value {
    let json =
        |schema: Value| json!({"description": "Done", "content": {"application/json": {"schema": schema}}});
    match answer {
        Answer::Of(schema) | Answer::Made(schema) => json(schema(schemas).to_value()),
        Answer::Json(text) => {
            let mut answer = json(json!({}));
            answer["description"] = (*text).into();
            answer
        }
        Answer::Null => json(json!({"type": "null"})),
        Answer::Kinds(kinds) => {
            let content: Map<String, Value> = kinds
                .iter()
                .map(|(kind, schema)| ((*kind).to_owned(), json!({"schema": schema(schemas)})))
                .collect();
            json!({"description": "Done", "content": content})
        }
    }
}

/// Names in braces in a path.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// E.g. `post_v1_models`: unique and stable, as client generators require.
fn operation_id(operation: &Operation) -> String {
    let path: String =
        operation.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let parts: Vec<&str> = path.split('_').filter(|part| !part.is_empty()).collect();
    format!("{}_{}", operation.method, parts.join("_"))
}
