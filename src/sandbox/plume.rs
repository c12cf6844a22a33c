//! Plume's API, as its documentation describes it.

use super::Options;
use super::faults::Class;
use super::http::{Request, Response};
use super::world::{PlumeCustomer, PlumeLocation, World};
use serde_json::{Value, json};

fn error(status: u16, message: &str) -> Response {
    let body = json!({"error": {"statusCode": status, "name": "Error", "message": message}});
    Response::json(status, &body)
}

fn lower<'a>(path: &'a [&'a str]) -> Vec<&'a str> {
    path.iter()
        .map(|part| {
            if *part == "Partners" {
                "partners"
            } else {
                part
            }
        })
        .collect()
}

/// Returns the kind of a call.
pub(super) fn class(request: &Request) -> Class {
    let path = request.path();
    match (request.method.as_str(), lower(&path).as_slice()) {
        ("GET", ["api", "partners", "customers", "search", _]) => Class::Search,
        ("GET", ["api", "Customers"]) => Class::Bulk,
        ("GET", ["api", "Customers", ..] | ["api", "partners", "locations", _]) => Class::Read,
        ("PATCH" | "PUT", ["api", "Customers", _]) => Class::CustomerPatch,
        ("PATCH", ["api", "Customers", _, "locations", _]) => Class::LocationPatch,
        _ => Class::Other,
    }
}

/// Answers a call.
pub(super) fn answer(world: &mut World, request: &Request, options: &Options) -> Response {
    let path = request.path();
    match (request.method.as_str(), lower(&path).as_slice()) {
        ("GET", ["api", "partners", "customers", "search", keyword]) => {
            search(world, request, keyword)
        }
        ("GET", ["api", "partners", "locations", key]) => location_by_key(world, key),
        ("GET", ["api", "Customers"]) => filtered(world, request, options),
        ("GET", ["api", "Customers", id]) => match seen(world, id) {
            Some(customer) => {
                let include = request
                    .query("filter")
                    .is_some_and(|f| f.contains("locations"));
                Response::json(200, &full(customer, include))
            }
            None => error(401, "Authorization Required"),
        },
        ("GET", ["api", "Customers", id, "locations"]) => match seen(world, id) {
            Some(customer) => {
                let all: Vec<Value> = customer
                    .locations
                    .iter()
                    .map(|l| place(customer, l))
                    .collect();
                Response::json(200, &Value::from(all))
            }
            None => error(401, "Authorization Required"),
        },
        ("GET", ["api", "Customers", id, "locations", location]) => {
            let found = seen(world, id).and_then(|c| {
                c.locations
                    .iter()
                    .find(|l| *l.id == **location)
                    .map(|l| place(c, l))
            });
            found.map_or_else(
                || error(404, "Location not found"),
                |body| Response::json(200, &body),
            )
        }
        ("PATCH", ["api", "Customers", id]) => rename(world, request, id, options),
        ("PATCH", ["api", "Customers", id, "locations", location]) => {
            set_location(world, request, id, location)
        }
        _ => error(404, "There is no method to handle this path"),
    }
}

fn seen<'a>(world: &'a World, id: &str) -> Option<&'a PlumeCustomer> {
    world.plume.get(id).filter(|customer| !customer.hidden)
}

fn account_of(customer: &PlumeCustomer) -> Option<&str> {
    Some(&*customer.account_id).filter(|account| !account.is_empty())
}

fn full(customer: &PlumeCustomer, locations: bool) -> Value {
    let mut body = json!({
        "id": customer.id, "accountId": account_of(customer), "anonymous": false, "autoProvisioned": false,
        "name": "A customer", "systemUser": false, "createdAt": "2020-01-01T00:00:00.000Z", "_version": "1.0",
        "email": "customer@example.com", "partnerId": customer.partner,
    });
    if locations {
        body["locations"] = customer
            .locations
            .iter()
            .map(|l| place(customer, l))
            .collect();
    }
    body
}

fn place(customer: &PlumeCustomer, location: &PlumeLocation) -> Value {
    let mut body = json!({
        "id": location.id, "name": "Home", "customerId": customer.id, "profile": location.profile,
        "createdAt": "2020-01-01T00:00:00.000Z",
    });
    if let Some(service) = &location.service_id {
        body["serviceId"] = Value::from(&**service);
    }
    body
}

fn search(world: &World, request: &Request, keyword: &str) -> Response {
    if keyword == "null" {
        return error(422, "Illegal search keyword");
    }
    match request.query("field") {
        Some("accountId") => {}
        Some("locationId" | "name" | "email") => return Response::json(200, &json!([])),
        _ => return error(422, "Illegal field"),
    }
    let number = |name: &str, default: usize| {
        request
            .query(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let exact = request.query("exactMatch") != Some("false");
    let found: Vec<&PlumeCustomer> = if exact {
        world
            .plume_by_account(keyword)
            .filter(|c| !c.hidden)
            .into_iter()
            .collect()
    } else {
        let mut found: Vec<_> = world
            .plume
            .values()
            .filter(|c| !c.hidden && c.account_id.starts_with(keyword))
            .collect();
        found.sort_by(|a, b| b.account_id.cmp(&a.account_id));
        found
    };
    let page = found
        .into_iter()
        .skip(number("skip", 0))
        .take(number("limit", 10));
    let body: Vec<Value> = page
        .map(|c| {
            let locations: Vec<Value> = c.locations.iter().map(|l| json!({"id": l.id})).collect();
            json!({"id": c.id, "accountId": account_of(c), "name": "A customer", "email": "c@example.com", "locations": locations})
        })
        .collect();
    Response::json(200, &Value::from(body))
}

fn location_by_key(world: &World, key: &str) -> Response {
    let by_id = world
        .by_location
        .get(key)
        .and_then(|id| world.plume.get(id));
    let Some(customer) = by_id.filter(|c| !c.hidden) else {
        return error(404, "Location not found");
    };
    match customer.locations.iter().find(|l| *l.id == *key) {
        Some(location) => {
            let mut body = place(customer, location);
            body["customer"] = json!({"id": customer.id, "accountId": account_of(customer)});
            Response::json(200, &body)
        }
        None => error(404, "Location not found"),
    }
}

fn filtered(world: &World, request: &Request, options: &Options) -> Response {
    if !options.bulk {
        return error(403, "Access denied");
    }
    let filter: Value = request
        .query("filter")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    let list = |field: &str| -> Option<Vec<String>> {
        let ids = filter["where"][field]["inq"].as_array()?;
        Some(
            ids.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )
    };
    let include = filter["include"].to_string().contains("locations");
    let limit = filter["limit"]
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(500);
    let found: Vec<&PlumeCustomer> = match (list("accountId"), list("id")) {
        (Some(accounts), _) => accounts
            .iter()
            .filter_map(|a| world.plume_by_account(a))
            .collect(),
        (None, Some(ids)) => ids
            .iter()
            .filter_map(|id| world.plume.get(id.as_str()))
            .collect(),
        (None, None) => return error(403, "Access denied"),
    };
    let visible = found.into_iter().filter(|c| !c.hidden).take(limit);
    Response::json(200, &visible.map(|c| full(c, include)).collect())
}

fn rename(world: &mut World, request: &Request, id: &str, options: &Options) -> Response {
    let is_json = request
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    let Some(body) = request.json().filter(|_| is_json) else {
        return error(400, "Invalid JSON");
    };
    if seen(world, id).is_none() {
        return error(401, "Authorization Required");
    }
    let Some(account) = body["accountId"].as_str().filter(|text| !text.is_empty()) else {
        return error(422, "accountId is missing");
    };
    let account = &*world.as_stored(account);
    match world.by_account.get(account) {
        Some(holder) if **holder != *id => {
            return match options.duplicate_status {
                500 => Response::json(500, &json!({"error": {"statusCode": 500, "name": "Error"}})),
                status => error(
                    status,
                    "Duplicate key: The AccountId and PartnerId are not unique",
                ),
            };
        }
        _ => {}
    }
    world.rename_plume(id, account);
    match world.plume.get(id) {
        Some(customer) => Response::json(200, &full(customer, false)).applied(),
        None => error(500, "Internal server error"),
    }
}

fn set_location(world: &mut World, request: &Request, id: &str, location: &str) -> Response {
    let Some(body) = request.json() else {
        return error(400, "Required fields are missing");
    };
    let stored = body["serviceId"].as_str().map(|text| world.as_stored(text));
    let Some(customer) = world.plume.get_mut(id).filter(|c| !c.hidden) else {
        return error(401, "Authorization Required");
    };
    let (service, profile) = (body.get("serviceId"), body.get("profile"));
    if service.is_none() && profile.is_none() {
        return error(422, "must specify at least one parameter");
    }
    if service.is_some_and(|text| text.as_str().is_none_or(str::is_empty)) {
        return error(422, "serviceId includes \"\"");
    }
    if profile.is_some_and(|text| !matches!(text.as_str(), Some("auto" | "smallbusiness"))) {
        return error(422, "profile must be auto or smallbusiness");
    }
    let Some(place_now) = customer.locations.iter_mut().find(|l| *l.id == *location) else {
        return error(404, "Location not found");
    };
    if let Some(text) = stored {
        place_now.service_id = Some(text.into());
    }
    if let Some(text) = profile.and_then(Value::as_str) {
        place_now.profile = text.into();
    }
    let changed = place_now.clone();
    Response::json(200, &place(customer, &changed)).applied()
}
