//! The JSON of requests to Adobe and of its answers, and what its error codes mean.

use super::super::error::{meaning_of, senseless};
use super::super::{Customer, Fatal, Locations, SystemError, id_text};
use crate::domain::{AccountId, CustomerId, Failed};
use crate::http::Reply;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use smol_str::SmolStr;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Update<'a> {
    pub(super) external_reference_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) global_sales_enabled: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) company_profile: Option<&'a RawValue>,
}

pub(super) struct Page {
    pub(super) items: Vec<Body>,
    pub(super) total: Option<usize>,
}

/// A customer as it was read, for the write that follows.
pub(super) struct Whole {
    pub(super) body: Body,
    pub(super) profile: Option<Box<RawValue>>,
    /// `None`: the answer did not contain it.
    pub(super) global_sales: Option<Box<RawValue>>,
    pub(super) everything: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListBody {
    #[serde(default)]
    pub(super) total_count: Option<usize>,
    #[serde(default)]
    pub(super) accounts: Option<Vec<Body>>,
    #[serde(default)]
    pub(super) customers: Option<Vec<Body>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawBody {
    #[serde(default)]
    pub(super) company_profile: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "shown")]
    pub(super) global_sales_enabled: Option<Box<RawValue>>,
}

/// Reads a field that is present, also if it is `null`, so that it is sent back as it was.
fn shown<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    #[serde(deserialize_with = "id_text::required")]
    pub(super) customer_id: SmolStr,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) external_reference_id: Option<SmolStr>,
    #[serde(default, deserialize_with = "id_text::optional")]
    pub(super) reseller_id: Option<SmolStr>,
    #[serde(default)]
    pub(super) company_profile: Option<Profile>,
}

#[derive(Deserialize)]
pub(super) struct Profile {
    #[serde(default)]
    pub(super) contacts: Option<Vec<serde::de::IgnoredAny>>,
}

impl Body {
    pub(super) fn usable(self) -> Option<Customer> {
        let account = self.external_reference_id.filter(|text| !text.is_empty());
        let contacts = self.company_profile.and_then(|profile| profile.contacts);
        Some(Customer {
            id: CustomerId::new(self.customer_id).ok()?,
            account: account.map(AccountId::new).transpose().ok()?,
            locations: Locations::Untold,
            owner: self.reseller_id,
            contacts: contacts.and_then(|contacts| u32::try_from(contacts.len()).ok()),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    #[serde(alias = "error_code")]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default, alias = "invalidFields")]
    pub(super) additional_details: Option<Value>,
}

impl ErrorBody {
    pub(super) fn code(&self) -> String {
        self.code
            .as_str()
            .map_or_else(|| self.code.to_string(), str::to_owned)
    }
}

/// The code of an update that lacks required fields.
pub(super) const FIELDS_MISSING: u16 = 1122;

pub(super) fn code_of(reply: &Reply) -> Option<String> {
    let body: ErrorBody = reply.json().ok()?;
    Some(body.code())
}

/// Returns what an error code means for the line, and what to do about it; empty for a code that is not documented.
pub(super) fn meaning(code: &str) -> (Option<Failed>, &'static str) {
    match code {
        "1115" => (
            Some(Failed::NotFound),
            "the reseller does not exist: check `reseller_id`",
        ),
        "1116" => (Some(Failed::NotFound), "the customer does not exist"),
        "1117" => (Some(Failed::Rejected), "some fields are invalid"),
        "1118" => (
            Some(Failed::Rejected),
            "the stored address no longer passes Adobe's checks: correct it first",
        ),
        "1119" => (
            Some(Failed::Rejected),
            "some fields are not editable: another client changed the customer meanwhile; try again",
        ),
        "1121" => (Some(Failed::Rejected), "fields that Adobe does not expect"),
        "1122" => (
            Some(Failed::Rejected),
            "required fields are missing: set `send = \"full\"`",
        ),
        "1123" => (
            Some(Failed::Conflict),
            "another customer has this reference",
        ),
        "1125" => (
            Some(Failed::Rejected),
            "the account is pending or blocked: try again once it is active",
        ),
        "1139" | "1140" => (
            Some(Failed::Rejected),
            "the rules for global sales do not allow it for this customer",
        ),
        "2126" => (Some(Failed::Rejected), "the reference is too long"),
        "4115" => (
            Some(Failed::Forbidden),
            "the API key is invalid or missing: check `api_key`",
        ),
        "4116" => (Some(Failed::Unauthorized), "the token is invalid"),
        "4117" => (Some(Failed::Unauthorized), "the token is missing"),
        "4119" => (
            Some(Failed::Rejected),
            "the correlation ID is missing or invalid",
        ),
        "4120" => (Some(Failed::Rejected), "the request ID was used before"),
        "4121" => (
            Some(Failed::Forbidden),
            "the customer belongs to another distributor",
        ),
        _ => (None, ""),
    }
}

pub(super) fn refusal(reply: &Reply) -> SystemError {
    let Ok(body) = reply.json::<ErrorBody>() else {
        let meaning = meaning_of(reply.status);
        let mut trouble = senseless(
            reply,
            format!("{meaning} (not the API's own error: is the base URL right?)"),
        );
        if reply.status == 401 {
            trouble.reason = Failed::Unauthorized;
        } else if reply.status == 403 {
            trouble.reason = Failed::Forbidden;
        } else if reply.status == 404 {
            trouble.reason = Failed::Unavailable;
        }
        return trouble;
    };
    let code = body.code();
    let (reason, words) = meaning(&code);
    let reason = reason.unwrap_or(match reply.status {
        401 => Failed::Unauthorized,
        403 => Failed::Forbidden,
        404 => Failed::NotFound,
        409 => Failed::Conflict,
        _ => Failed::Rejected,
    });
    let words = if words.is_empty() {
        meaning_of(reply.status)
    } else {
        words
    };
    let details = body.additional_details.filter(|details| !details.is_null());
    let own = body.message.unwrap_or_default();
    let details = details.map_or_else(String::new, |details| format!(" {details}"));
    let mut trouble = SystemError::refused(
        reason,
        reply,
        &format!("code {code}: {words} ({own}{details})"),
    );
    if code == "4115" {
        trouble.fatal = Some(Fatal::TokenRefused);
    }
    trouble.code = code.parse().ok();
    trouble
}
