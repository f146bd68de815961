//! `barid webhooks`.

use anyhow::{Result, bail};
use barid_domain::{Clock, EndpointId, SystemClock};
use barid_proto::webhook::v1::{
    CreateEndpointRequest, Delivery, DeliveryState, Endpoint, ListDeliveriesRequest, ListEndpointsRequest, TestEndpointRequest,
    delivery_service_client::DeliveryServiceClient, endpoint_service_client::EndpointServiceClient,
};

use crate::{
    cli::Webhooks,
    client::{Client, explain},
    output::{Table, age, json, name, plain, say},
};

pub(crate) async fn run(command: Webhooks) -> Result<()> {
    match command {
        Webhooks::List { json, server } => list(&server.connect().await?, json).await,
        Webhooks::Create { url, event_types, name, server } => {
            let endpoint = Endpoint { url, event_types, display_name: name, ..Endpoint::default() };
            create(&server.connect().await?, endpoint).await
        }
        Webhooks::Test { id, server } => test(&server.connect().await?, id).await,
        Webhooks::Deliveries { endpoint, entity, failed, json, server } => {
            let client = server.connect().await?;
            let request = ListDeliveriesRequest {
                tenant_id: client.tenant.clone(),
                endpoint_id: endpoint.map(|id| id.to_string()).unwrap_or_default(),
                entity_id: entity,
                state: if failed { DeliveryState::Failed } else { DeliveryState::Unspecified }.into(),
                ..ListDeliveriesRequest::default()
            };
            deliveries(&client, request, json).await
        }
    }
}

async fn list(client: &Client, as_json: bool) -> Result<()> {
    let request = ListEndpointsRequest { tenant_id: client.tenant.clone() };
    let all = EndpointServiceClient::new(client.connection.clone()).list_endpoints(request).await;
    let all = all.map_err(|status| explain(&status))?.into_inner();
    if as_json {
        return say(&json("barid.webhook.v1.ListEndpointsResponse", &all)?);
    }
    if all.endpoints.is_empty() {
        return say("The tenant has no webhook endpoints. `barid webhooks create URL` makes one.");
    }
    let mut table = Table::new(["ENDPOINT", "STATE", "FAILS FOR", "NAME", "URL", "WANTS"]);
    for endpoint in &all.endpoints {
        let state = name(endpoint.state().as_str_name(), "ENDPOINT_STATE_");
        table.row([
            endpoint.id.clone(),
            if endpoint.state_reason.is_empty() { state } else { format!("{state} ({})", endpoint.state_reason) },
            age(endpoint.failing_since.as_ref(), SystemClock.now()),
            endpoint.display_name.clone(),
            endpoint.url.clone(),
            if endpoint.event_types.is_empty() { "everything".to_owned() } else { endpoint.event_types.join(", ") },
        ]);
    }
    say(&table.to_string())
}

async fn create(client: &Client, endpoint: Endpoint) -> Result<()> {
    let request = CreateEndpointRequest { tenant_id: client.tenant.clone(), endpoint: Some(endpoint) };
    let created = EndpointServiceClient::new(client.connection.clone()).create_endpoint(request).await;
    let created = created.map_err(|status| explain(&status))?.into_inner();
    say(&format!("endpoint    {}\nsecret      {}", created.id, created.secret))?;
    // Apart from what a script reads.
    eprintln!("The secret is not shown again. `barid webhooks test {}` posts a test.", created.id);
    Ok(())
}

async fn test(client: &Client, id: EndpointId) -> Result<()> {
    let request = TestEndpointRequest { tenant_id: client.tenant.clone(), id: id.to_string() };
    let tested = EndpointServiceClient::new(client.connection.clone()).test_endpoint(request).await;
    let tested = tested.map_err(|status| explain(&status))?.into_inner();
    let delivery = tested.delivery.unwrap_or_default();
    if !tested.delivered {
        bail!("the endpoint did not take it: {}", outcome(&delivery));
    }
    let body = delivery.attempts.first().map(|attempt| plain(&attempt.response_body)).unwrap_or_default();
    say(format!("{} {body}", delivery.last_status).trim_end())
}

async fn deliveries(client: &Client, request: ListDeliveriesRequest, as_json: bool) -> Result<()> {
    let page = DeliveryServiceClient::new(client.connection.clone()).list_deliveries(request).await;
    let page = page.map_err(|status| explain(&status))?.into_inner();
    if as_json {
        return say(&json("barid.webhook.v1.ListDeliveriesResponse", &page)?);
    }
    let mut table = Table::new(["DELIVERY", "AGE", "EVENT", "ABOUT", "STATE", ">TRIES", "LAST"]);
    for delivery in &page.deliveries {
        table.row([
            delivery.id.clone(),
            age(delivery.create_time.as_ref(), SystemClock.now()),
            delivery.event_type.clone(),
            delivery.entity_id.clone(),
            name(delivery.state().as_str_name(), "DELIVERY_STATE_"),
            delivery.attempt_count.to_string(),
            outcome(delivery),
        ]);
    }
    say(&table.to_string())
}

/// The last status, or why there was no answer.
fn outcome(delivery: &Delivery) -> String {
    match (delivery.last_status, delivery.last_error.as_str()) {
        (0, "") => "-".to_owned(),
        (0, error) => error.to_owned(),
        (status, _) => status.to_string(),
    }
}
