//! Adobe's API, as its documentation describes it.

use super::faults::Class;
use super::http::{Request, Response};
use super::world::{AdobeCustomer, World};
use serde_json::{Value, json};

fn error(status: u16, code: &str, message: &str, details: &[&str]) -> Response {
    Response::json(
        status,
        &json!({"code": code, "message": message, "additionalDetails": details}),
    )
}

/// Returns the kind of a call.
pub(super) fn class(request: &Request) -> Class {
    match (request.method.as_str(), request.path().as_slice()) {
        ("GET", ["v3", "resellers", _, "customers"]) => Class::Search,
        ("GET", ["v3", "customers", _]) => Class::Read,
        ("PATCH", ["v3", "customers", _]) => Class::CustomerPatch,
        _ => Class::Other,
    }
}

/// Answers a call.
pub(super) fn answer(world: &mut World, request: &Request, good_token: bool) -> Response {
    if request.header("x-api-key").is_none_or(str::is_empty) {
        return error(403, "4115", "Api Key is invalid or missing", &[]);
    }
    if request.bearer().is_none() {
        return error(403, "4117", "Token is missing", &[]);
    }
    if !good_token {
        return error(401, "4116", "Token is invalid", &[]);
    }
    let path = request.path();
    if path == ["partnerservice", "ping"] {
        return Response::text(200, "text/plain", "pong");
    }
    let json_only = |name| {
        request
            .header(name)
            .is_some_and(|kind| kind.starts_with("application/json"))
    };
    if !json_only("accept") || (request.method == "PATCH" && !json_only("content-type")) {
        return error(
            400,
            "1117",
            "Accept and Content-Type must be application/json",
            &[],
        );
    }
    let Some(correlation) = request.header("x-correlation-id") else {
        return error(400, "4119", "Correlation ID is missing or invalid", &[]);
    };
    let is_write = request.method == "PATCH";
    if let Some((status, body)) = world.replays.get(correlation).filter(|_| is_write) {
        let text = String::from_utf8_lossy(body).into_owned();
        return Response::text(*status, "application/json", &text);
    }
    if let Some(id) = request.header("x-request-id")
        && !world.request_ids.insert(id.to_owned())
    {
        return error(400, "4120", "Duplicate request ID", &[]);
    }
    let response = match (request.method.as_str(), path.as_slice()) {
        ("GET", ["v3", "customers", id]) => read(world, id),
        ("PATCH", ["v3", "customers", id]) => update(world, request, id),
        ("GET", ["v3", "resellers", id, "customers"]) => list(world, request, id),
        _ => error(404, "1116", "No such resource", &[]),
    };
    if is_write {
        world.replays.insert(
            correlation.to_owned(),
            (response.status, response.body.clone()),
        );
    }
    response
}

fn read(world: &World, id: &str) -> Response {
    match world.adobe.get(id) {
        Some(customer) => {
            let mut body = customer.body.clone();
            body["status"] = Value::from(customer.status.clone());
            Response::json(200, &body)
        }
        None => error(404, "1116", "Invalid Customer", &[]),
    }
}

fn update(world: &mut World, request: &Request, id: &str) -> Response {
    let Some(body) = request.json() else {
        return error(400, "1117", "Invalid JSON", &[]);
    };
    let reference_stored = body["externalReferenceId"]
        .as_str()
        .map(|text| world.as_stored(text));
    let Some(customer) = world.adobe.get_mut(id) else {
        return error(404, "1116", "Invalid Customer", &[]);
    };
    if customer.status != "1000" {
        return error(400, "1125", "Account is pending or blocked", &[]);
    }
    let known = [
        "externalReferenceId",
        "companyProfile",
        "globalSalesEnabled",
        "linkedMembership",
        "benefits",
    ];
    let fields = body.as_object().into_iter().flatten();
    if let Some((name, _)) = fields
        .clone()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        return error(400, "1121", "Unexpected fields", &[name]);
    }
    match replacement(customer, &body) {
        Err(refusal) => refusal,
        Ok(profile) => {
            let answer = store(customer, &body, reference_stored, profile);
            Response::json(200, &answer).applied()
        }
    }
}

/// Returns the profile that replaces the stored one, or the answer that refuses the update.
fn replacement(customer: &AdobeCustomer, body: &Value) -> Result<Value, Response> {
    let missing = |path: &str| error(400, "1122", "Missing required fields", &[path]);
    let profile = body
        .get("companyProfile")
        .filter(|profile| profile.is_object())
        .ok_or_else(|| missing("companyProfile"))?;
    let stored = &customer.body["companyProfile"];
    let same = |path: &str| profile.pointer(path) == stored.pointer(path);
    for path in ["/companyName", "/address/country", "/address/region"] {
        if !same(path) {
            return Err(error(400, "1119", "Some fields are not editable", &[path]));
        }
    }
    let contacts = profile["contacts"].as_array();
    if contacts.is_none_or(Vec::is_empty) {
        return Err(missing("companyProfile.contacts"));
    }
    if let Some(reference) = body.get("externalReferenceId").and_then(Value::as_str) {
        if reference.chars().count() > 35 {
            let message = "External reference ID exceeds limit";
            return Err(error(400, "2126", message, &[]));
        }
        if reference.contains(['<', '>', '[', ']', '"']) {
            let details = ["externalReferenceId"];
            return Err(error(400, "1117", "Some fields are invalid", &details));
        }
    }
    if customer.deployments && is_global(&customer.body) && !is_global(body) {
        let message = "Global sales cannot be disabled while there are active deployments";
        return Err(error(400, "1139", message, &["globalSalesEnabled"]));
    }
    Ok(profile.clone())
}

/// Returns whether global sales are enabled; a missing field means `false`.
fn is_global(body: &Value) -> bool {
    body["globalSalesEnabled"].as_bool().unwrap_or(false)
}

/// Replaces the stored data, and returns the answer, which contains what was sent even if it is not stored.
fn store(
    customer: &mut AdobeCustomer,
    body: &Value,
    reference: Option<String>,
    profile: Value,
) -> Value {
    if let Some(reference) = reference {
        customer.body["externalReferenceId"] = Value::from(reference);
    }
    let global = is_global(body);
    if global || customer.body.get("globalSalesEnabled").is_some() {
        customer.body["globalSalesEnabled"] = Value::from(global);
    }
    if let Some(group) = body.get("linkedMembership") {
        customer.body["linkedMembership"] = group.clone();
    }
    let before = customer.body["companyProfile"]["contacts"].take();
    customer.body["companyProfile"] = profile;
    let mut answer = customer.body.clone();
    answer["status"] = Value::from(customer.status.clone());
    let contacts = customer.body["companyProfile"]["contacts"].as_array_mut();
    for contact in contacts.into_iter().flatten() {
        // Names of contacts cannot be changed.
        let mut known = before.as_array().into_iter().flatten();
        if let Some(known) = known.find(|known| known["email"] == contact["email"]) {
            for name in ["firstName", "lastName"] {
                contact[name] = known[name].clone();
            }
        }
        if let Some(email) = contact["email"].as_str() {
            *customer.emails.entry(email.to_owned()).or_default() += 1;
        }
    }
    answer
}

fn list(world: &World, request: &Request, reseller: &str) -> Response {
    let number = |name: &str, default: usize| match request.query(name) {
        None => Some(default),
        Some(text) => text.parse().ok(),
    };
    let (Some(limit), Some(offset)) = (number("limit", 20), number("offset", 0)) else {
        return error(400, "1117", "Some fields are invalid", &["limit", "offset"]);
    };
    if !(1..=50).contains(&limit) {
        return error(400, "1117", "Some fields are invalid", &["limit"]);
    }
    let status = request.query("status").unwrap_or("1000");
    let mut all: Vec<&Value> = world
        .adobe_order
        .iter()
        .filter_map(|id| world.adobe.get(id))
        .filter(|customer| customer.status == status && customer.body["resellerId"] == reseller)
        .map(|customer| &customer.body)
        .collect();
    if request.query("order-by") != Some("asc") {
        all.reverse();
    }
    let items: Vec<Value> = all
        .iter()
        .skip(offset)
        .take(limit)
        .map(|body| {
            json!({"externalReferenceId": body["externalReferenceId"], "customerId": body["customerId"],
                "resellerId": body["resellerId"], "status": status,
                "companyProfile": {"companyName": body["companyProfile"]["companyName"]}})
        })
        .collect();
    Response::json(
        200,
        &json!({"totalCount": all.len(), "count": items.len(), "offset": offset, "limit": limit, "accounts": items}),
    )
}
