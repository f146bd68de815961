//! Makes calls on behalf of callers from outside: authenticated, allowed, within their rate.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use barid_bus::{Bus, Channel};
use barid_cache::{Decision, Limiter, Rate};
use barid_proto::{
    access::{Framing, Method, PRINCIPAL_KEY, Polled, PollingError, Principal, Table},
    descriptor_pool, fault,
    status::fault_after,
    wire,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName};
use prost::Message;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    access::authorise,
    auth::Auth,
    config::{Config, Limits},
    directory::Directory,
    framing::{Cutter, Frame, failed_outcomes},
    waiting::Waiting,
};

/// Headers of a caller that go along. Everything else stays outside, above all what looks like a principal.
const PASSED_ON: [&str; 3] = ["grpc-timeout", "traceparent", "tracestate"];

/// How long a method that waits for news may take: it answers after 20 seconds without any.
const WAIT: Duration = Duration::from_secs(25);

/// Calls from outside. Clone it freely.
#[derive(Clone)]
pub(crate) struct Calls {
    pub auth: Auth,
    pub directory: Directory,
    pub methods: Arc<Table>,
    /// How each polled stream is made, by its path.
    pub polled: Arc<HashMap<String, Polled>>,
    pub waiting: Waiting,
    channel: Channel,
    patient: Channel,
    bulk: Channel,
    limiter: Limiter,
    limits: Limits,
}

impl Calls {
    /// # Errors
    /// A polled stream names what is not there.
    pub(crate) fn new(bus: &Bus, limiter: Limiter, config: &Config) -> Result<Self, PollingError> {
        let methods = Table::new(&descriptor_pool());
        Ok(Self {
            auth: Auth::new(bus),
            directory: Directory::new(bus),
            polled: Arc::new(methods.polled()?),
            waiting: Waiting::new(config.limits.waiting),
            methods: Arc::new(methods),
            channel: bus.channel().with_deadline(Duration::from_secs(15)),
            patient: bus.channel().with_deadline(WAIT),
            bulk: bus.channel().with_deadline(config.bulk_deadline),
            limiter,
            limits: config.limits,
        })
    }

    /// The channel for the gateway's own questions.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A public method by its gRPC path.
    pub(crate) fn method(&self, path: &str) -> Result<&Method, Status> {
        let unknown =
            || fault(Code::Unimplemented, "UNKNOWN_METHOD", format!("there is no method {}", path.chars().take(200).collect::<String>()));
        self.methods.get(path).filter(|method| method.is_public()).ok_or_else(unknown)
    }

    /// Who calls, if they may call that often.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap, from: IpAddr) -> Result<Arc<Principal>, Status> {
        let holder = match self.auth.principal(headers).await {
            Ok(holder) => holder,
            Err(status) if status.code() == Code::Unauthenticated => {
                let rate = Rate { per_minute: self.limits.refused_per_minute, burst: self.limits.refused_burst.max(1) };
                self.within(&format!("refused:{from}"), rate).await?;
                return Err(status);
            }
            Err(status) => return Err(status),
        };
        // The platform's key has no id; its calls share one limit.
        let rate = Rate { per_minute: self.limits.per_minute, burst: self.limits.burst };
        self.within(&format!("key:{}", holder.key_id), rate).await?;
        Ok(holder)
    }

    async fn within(&self, key: &str, rate: Rate) -> Result<(), Status> {
        match self.limiter.check(key, rate).await {
            Decision::Allowed => Ok(()),
            Decision::Wait(wait) => {
                let says = format!("more than {} calls a minute; try again in {:.1} s", rate.per_minute, wait.as_secs_f64());
                Err(fault_after(Code::ResourceExhausted, "RATE_LIMITED", says, wait))
            }
        }
    }

    /// Makes a unary call with an encoded request; gives back the encoded answer.
    pub(crate) async fn unary(&self, method: &Method, headers: &HeaderMap, from: IpAddr, request: Bytes) -> Result<Bytes, Status> {
        let holder = self.authenticate(headers, from).await?;
        let principal = authorise(&self.directory, method, &holder, &request).await?;
        let request = with_idempotency_key(method, headers, request)?;
        match &method.framing {
            Some(framing) => {
                let frames = Cutter::new(method, framing)?.request(request)?;
                self.frames(method, headers, &principal, frames).await
            }
            None if self.waits(method) => {
                let _place = self.waiting.enter(&holder.key_id)?;
                self.wait(method, headers, &principal, request).await
            }
            None => self.one(&self.channel, method, headers, &principal, request).await,
        }
    }

    /// Whether a method may hold a call until there is news: those that streams are made of do.
    fn waits(&self, method: &Method) -> bool {
        self.polled.values().any(|polled| polled.via == method.path)
    }

    /// Makes a unary call of a method that waits.
    pub(crate) async fn wait(&self, method: &Method, headers: &HeaderMap, principal: &Principal, request: Bytes) -> Result<Bytes, Status> {
        self.one(&self.patient, method, headers, principal, request).await
    }

    /// Makes a call whose items come as a stream of encoded messages.
    pub(crate) async fn client_stream<S>(&self, method: &Method, headers: &HeaderMap, from: IpAddr, items: S) -> Result<Bytes, Status>
    where
        S: stream::Stream<Item = Result<Bytes, Status>>,
    {
        let holder = self.authenticate(headers, from).await?;
        let (via, framing) = self.via(method)?;
        let mut items = std::pin::pin!(items);
        let mut cutter = Cutter::new(via, framing)?;
        let mut principal = None;
        while let Some(item) = items.next().await {
            let item = item?;
            if principal.is_none() {
                // The first item names the tenant for all, if the key does not.
                let known = authorise(&self.directory, method, &holder, &item).await?;
                if let Some(field) = via.tenant_field {
                    cutter.set(field, &known.tenant_id);
                }
                if let (Some(field), Some(key)) = (via.descriptor.input().get_field_by_name("idempotency_key"), idempotency_key(headers)?) {
                    cutter.set(field.number(), key);
                }
                principal = Some(known);
            }
            cutter.item(&item)?;
        }
        let frames = cutter.finish()?;
        let principal = principal.ok_or_else(|| Status::internal("a stream with items has no principal"))?;
        self.frames(via, headers, &principal, frames).await
    }

    fn via<'a>(&'a self, method: &'a Method) -> Result<(&'a Method, &'a Framing), Status> {
        let framing = method.framing.as_ref().ok_or_else(|| Status::unimplemented("this stream is not served"))?;
        let path = format!("/{}/{}", method.descriptor.parent_service().full_name(), framing.via);
        let via = self.methods.get(&path).ok_or_else(|| Status::internal("the framing names a method that is not there"))?;
        Ok((via, framing))
    }

    async fn frames(&self, method: &Method, headers: &HeaderMap, principal: &Principal, frames: Vec<Frame>) -> Result<Bytes, Status> {
        // One after the other: what goes to one customer is committed in the order of the call.
        let mut answers = Vec::with_capacity(frames.len());
        for frame in frames {
            let answer = self.one(&self.bulk, method, headers, principal, frame.request.clone()).await;
            answers.push((frame, answer));
        }
        let any_taken = answers.iter().any(|(_, answer)| answer.is_ok());
        let mut whole = BytesMut::new();
        for (frame, answer) in answers {
            match answer {
                Ok(part) => whole.extend_from_slice(&part),
                // What other frames have committed must be told, so the call succeeds and these items fail.
                Err(status) if any_taken => {
                    let outcomes = failed_outcomes(&method.descriptor.output(), &frame, &status);
                    whole.extend_from_slice(&outcomes.ok_or_else(|| status.clone())?);
                }
                Err(status) => return Err(status),
            }
        }
        Ok(whole.freeze())
    }

    async fn one(
        &self,
        channel: &Channel,
        method: &Method,
        headers: &HeaderMap,
        principal: &Principal,
        request: Bytes,
    ) -> Result<Bytes, Status> {
        let mut passed: HeaderMap = HeaderMap::new();
        for name in PASSED_ON {
            if let Some(value) = headers.get(name) {
                passed.insert(HeaderName::from_static(name), value.clone());
            }
        }
        let mut metadata = MetadataMap::from_headers(passed);
        metadata.insert_bin(PRINCIPAL_KEY, MetadataValue::from_bytes(&principal.encode_to_vec()));
        let (_, framed) = channel.call_bytes(&method.path, metadata.into_headers(), frame(&request)).await?;
        unframe(framed)
    }
}

/// A message in gRPC's frame.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

fn unframe(framed: Bytes) -> Result<Bytes, Status> {
    if framed.len() < 5 { Err(Status::internal("the answer is not framed as gRPC frames it")) } else { Ok(framed.slice(5..)) }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Status> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let wrong = |_| fault(Code::InvalidArgument, "INVALID_ARGUMENT", "the header Idempotency-Key has other characters than visible ASCII");
    value.to_str().map(|key| Some(key).filter(|key| !key.is_empty())).map_err(wrong)
}

/// The request with the key of its header, where the method takes one and the request brings none.
fn with_idempotency_key(method: &Method, headers: &HeaderMap, request: Bytes) -> Result<Bytes, Status> {
    let Some(field) = method.descriptor.input().get_field_by_name("idempotency_key") else { return Ok(request) };
    let Some(key) = idempotency_key(headers)? else { return Ok(request) };
    let own =
        wire::string(&request, field.number()).map_err(|error| fault(Code::InvalidArgument, "INVALID_ARGUMENT", error.to_string()))?;
    if own == key || own.is_empty() {
        let mut extended = request.to_vec();
        if own.is_empty() {
            wire::put_bytes(field.number(), key.as_bytes(), &mut extended);
        }
        Ok(extended.into())
    } else {
        Err(fault(
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            "the header Idempotency-Key and the field idempotencyKey differ; give one of them",
        ))
    }
}
