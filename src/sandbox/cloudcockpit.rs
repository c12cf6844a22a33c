//! `CloudCockpit`'s API, as its documentation describes it.

use super::faults::Class;
use super::http::{Request, Response};
use super::world::World;
use serde_json::{Value, json};

fn error(status: u16, kind: &str, description: &str) -> Response {
    Response::json(
        status,
        &json!({"statusCode": status, "type": kind, "description": description, "correlationId": null, "errors": null}),
    )
}

/// Returns the kind of a call.
pub(super) fn class(request: &Request) -> Class {
    match (request.method.as_str(), request.path().as_slice()) {
        ("GET", ["v1", "Customers"]) => Class::Search,
        ("GET", ["v1", "Customers", _]) => Class::Read,
        ("PATCH", ["v1", "Customers", _, "internal-identifier"]) => Class::CustomerPatch,
        _ => Class::Other,
    }
}

/// Answers a call.
pub(super) fn answer(world: &mut World, request: &Request) -> Response {
    if request.header("x-tenant").is_none_or(str::is_empty) {
        return error(400, "TenantMissing", "The header X-Tenant is required");
    }
    match (request.method.as_str(), request.path().as_slice()) {
        ("GET", ["v1", "Customers"]) => list(world, request),
        ("GET", ["v1", "Customers", id]) => read(world, request, id),
        ("PATCH", ["v1", "Customers", id, "internal-identifier"]) => update(world, request, id),
        _ => error(404, "NotFound", "No such resource"),
    }
}

fn item(id: &str, identifier: Option<&String>, reseller: &str, deleted: bool) -> Value {
    json!({"id": id, "companyName": "A company", "internalIdentifier": identifier,
        "resellerId": (!reseller.is_empty()).then_some(reseller), "isDeleted": deleted})
}

fn read(world: &World, request: &Request, id: &str) -> Response {
    let reseller = request.query("resellerId").unwrap_or("");
    let Some(customer) = world.cockpit.get(id) else {
        return error(404, "CustomerNotFound", "The customer does not exist");
    };
    match customer.identifiers.get(reseller) {
        Some(identifier) => Response::json(
            200,
            &item(id, identifier.as_ref(), reseller, customer.deleted),
        ),
        None => Response::empty(403),
    }
}

fn list(world: &World, request: &Request) -> Response {
    let number = |name: &str, default: usize| match request.query(name) {
        None => Some(default),
        Some(text) => text.parse::<usize>().ok(),
    };
    let (Some(page), Some(size)) = (number("pageNumber", 1), number("pageSize", 25)) else {
        return error(400, "Validation", "pageNumber and pageSize are numbers");
    };
    if page < 1 || !(1..=2000).contains(&size) {
        return error(400, "Validation", "pageSize is 1 to 2000");
    }
    let value = request.query("searchValue");
    if request.query("searchField").is_some() && value.is_none() {
        return error(400, "Validation", "searchValue is required");
    }
    if request
        .query("searchField")
        .is_some_and(|field| field != "InternalIdentifier")
    {
        return error(400, "Validation", "unknown searchField");
    }
    let reseller = request.query("resellerId").unwrap_or("");
    let all: Vec<Value> = world
        .cockpit_order
        .iter()
        .filter_map(|id| Some((id, world.cockpit.get(id)?)))
        .filter_map(|(id, customer)| {
            let identifier = customer.identifiers.get(reseller)?.as_ref();
            // The search also finds parts of an identifier.
            let hit = value.is_none_or(|value| identifier.is_some_and(|text| text.contains(value)));
            hit.then(|| item(id, identifier, reseller, customer.deleted))
        })
        .collect();
    let items: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    let more = page * size < all.len();
    Response::json(
        200,
        &json!({"items": items, "totalCount": all.len(), "hasNextPage": more}),
    )
}

fn update(world: &mut World, request: &Request, id: &str) -> Response {
    let Some(body) = request.json().filter(Value::is_object) else {
        return error(400, "Validation", "The body is not an object");
    };
    let stored = body["internalIdentifier"]
        .as_str()
        .map(|text| world.as_stored(text));
    let Some(customer) = world.cockpit.get_mut(id) else {
        return error(404, "CustomerNotFound", "The customer does not exist");
    };
    let reseller = body["resellerId"].as_str().unwrap_or("");
    let identifier = match body.get("internalIdentifier") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.chars().count() <= 255 => stored,
        Some(_) => {
            return error(
                400,
                "Validation",
                "internalIdentifier may be up to 255 characters",
            );
        }
    };
    match customer.identifiers.get_mut(reseller) {
        Some(stored) => {
            *stored = identifier;
            Response::empty(204).applied()
        }
        None => Response::empty(403),
    }
}
