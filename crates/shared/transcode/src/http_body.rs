//! google.api.HttpBody: an answer that is not JSON, such as a picture.

use bytes::Bytes;
use http::HeaderValue;
use prost::Message;
use prost_reflect::MessageDescriptor;

use crate::ResponseError;

/// What a call answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The response message.
    Json(Vec<u8>),
    /// What a google.api.HttpBody holds, as it is.
    Raw {
        /// `application/octet-stream` when the service does not say.
        content_type: HeaderValue,
        data: Bytes,
    },
}

/// google.api.HttpBody, without its extensions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HttpBody {
    #[prost(string, tag = "1")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    data: Bytes,
}

impl HttpBody {
    pub fn answer(self) -> Result<Answer, ResponseError> {
        let content_type = match self.content_type.as_str() {
            "" => HeaderValue::from_static("application/octet-stream"),
            text => HeaderValue::from_str(text).map_err(|_| ResponseError::ContentType)?,
        };
        Ok(Answer::Raw { content_type, data: self.data })
    }
}

pub(crate) fn is(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}
