//! The Cloud API's errors: their codes, HTTP statuses and titles, and the body they are told in.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Code, HTTP status and title, after Meta's page of error codes.
const KNOWN: &[(u32, u16, &str)] = &[
    (0, 401, "AuthException"),
    (1, 400, "API Unknown"),
    (2, 503, "API Service"),
    (3, 500, "API Method"),
    (4, 400, "API Too Many Calls"),
    (10, 403, "Application does not have permission for this action"),
    (33, 400, "Parameter value is not valid"),
    (100, 400, "Invalid parameter"),
    (190, 401, "Invalid OAuth access token"),
    (200, 403, "Permissions error"),
    (368, 403, "Temporarily blocked for policies violations"),
    (80007, 400, "Rate limit issues"),
    (130_429, 400, "Rate limit hit"),
    (130_472, 400, "User's number is part of an experiment"),
    (130_497, 403, "Business account is restricted from messaging users in this country"),
    (131_000, 500, "Something went wrong"),
    (131_005, 403, "Access denied"),
    (131_008, 400, "Required parameter is missing"),
    (131_009, 400, "Parameter value is not valid"),
    (131_016, 500, "Service unavailable"),
    (131_021, 400, "Recipient cannot be sender"),
    (131_026, 400, "Message undeliverable"),
    (131_031, 403, "Account has been locked"),
    (131_037, 400, "WhatsApp provided number needs display name approval before message can be sent"),
    (131_042, 400, "Business eligibility payment issue"),
    (131_045, 500, "Incorrect certificate"),
    (131_047, 400, "Re-engagement message"),
    (131_048, 400, "Spam rate limit hit"),
    (131_049, 400, "This message was not delivered to maintain healthy ecosystem engagement"),
    (131_051, 400, "Unsupported message type"),
    (131_052, 400, "Media download error"),
    (131_053, 400, "Media upload error"),
    (131_056, 400, "(Business account, consumer account) pair rate limit hit"),
    (131_057, 500, "Account in maintenance mode"),
    (132_000, 400, "Number of parameters does not match the expected number of params"),
    (132_001, 404, "Template name does not exist in the translation"),
    (132_005, 400, "Translated text too long"),
    (132_007, 400, "Template format character policy violated"),
    (132_012, 400, "Parameter format does not match format in the created template"),
    (132_015, 400, "Template is paused"),
    (132_016, 400, "Template is disabled"),
    (133_000, 500, "Deregistration incomplete"),
    (133_004, 503, "Server temporarily unavailable"),
    (133_010, 400, "Phone number not registered"),
    (135_000, 400, "Generic user error"),
];

/// The title of a code, for the `errors` of a `failed` status.
pub(crate) fn title(code: u32) -> &'static str {
    KNOWN.iter().find(|known| known.0 == code).map_or("Unknown error", |known| known.2)
}

/// An answer in the shape of Meta's errors.
#[derive(Debug)]
pub(crate) struct Error {
    status: StatusCode,
    code: u32,
    subcode: Option<u32>,
    kind: &'static str,
    message: String,
    details: Option<String>,
    retry_after: Option<u64>,
}

impl Error {
    pub(crate) fn new(code: u32, details: impl Into<String>) -> Self {
        let status = KNOWN.iter().find(|known| known.0 == code).map_or(400, |known| known.1);
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            subcode: None,
            kind: "OAuthException",
            message: format!("(#{code}) {}", title(code)),
            details: Some(details.into()),
            retry_after: None,
        }
    }

    /// `(#100)` with its own sentence, as Meta words problems of the request's shape.
    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self { message: format!("(#100) {}", message.into()), details: None, ..Self::new(100, "") }
    }

    pub(crate) fn token() -> Self {
        let message = "Invalid OAuth access token - Cannot parse access token".into();
        Self { message, details: None, ..Self::new(190, "") }
    }

    /// What Meta says of an id that it does not know or will not show.
    pub(crate) fn no_such_object(id: &str) -> Self {
        let message = format!(
            "Unsupported request. Object with ID '{id}' does not exist, cannot be loaded due to missing permissions, or does not support this operation"
        );
        Self { message, details: None, subcode: Some(33), kind: "GraphMethodException", ..Self::new(100, "") }
    }

    pub(crate) fn with_status(mut self, status: Option<u16>) -> Self {
        if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
            self.status = status;
        }
        self
    }

    pub(crate) fn with_retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    fn body(&self) -> Value {
        let trace: String = std::iter::repeat_with(|| rand::random_range(b'A'..=b'Z')).take(12).map(char::from).collect();
        let mut error = json!({"message": self.message, "type": self.kind, "code": self.code, "fbtrace_id": trace});
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = json!(subcode);
        }
        if let Some(details) = &self.details {
            error["error_data"] = json!({"messaging_product": "whatsapp", "details": details});
        }
        if matches!(self.code, 1 | 2 | 131_000 | 131_016) {
            error["is_transient"] = json!(true);
        }
        json!({ "error": error })
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
