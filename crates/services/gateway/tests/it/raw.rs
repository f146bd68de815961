//! Answers that are not JSON.

use anyhow::Result;
use barid_proto::session_pool::v1::{GetPairingPictureRequest, pairing_service_client::PairingServiceClient};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    house::{House, TENANT_KEY, with_key},
    pairings::{PICTURE, Pairings, SESSION, scan},
};

#[tokio::test]
async fn a_picture_is_a_picture() -> Result<()> {
    let (house, pairings) = (House::start("").await?, Pairings::new());
    let _pool = house.session_pool(|server| pairings.add_to(server)).await?;
    let get = |path: &str| reqwest::Client::new().get(format!("{}{path}", house.url)).bearer_auth(TENANT_KEY).send();
    let path = format!("/v1/sessions/{SESSION}/pairing.png");

    let none = get(&path).await?;
    assert_eq!(none.status(), StatusCode::BAD_REQUEST);
    assert_eq!(none.json::<Value>().await?["details"][0]["reason"], "NO_CODE");

    pairings.set(scan(1, "a code"));
    let picture = get(&format!("{path}?size=120")).await?;
    assert_eq!(picture.status(), StatusCode::OK);
    for (name, value) in [("content-type", "image/png"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")] {
        assert_eq!(picture.headers()[name], value, "{name}");
    }
    assert_eq!(picture.bytes().await?, [PICTURE, b"120"].concat());

    let request = GetPairingPictureRequest { id: SESSION.to_owned(), size: 120, ..GetPairingPictureRequest::default() };
    let mut client = PairingServiceClient::new(house.channel().await?);
    let picture = client.get_pairing_picture(with_key(TENANT_KEY, request)).await?.into_inner();
    assert_eq!((picture.content_type.as_str(), picture.data), ("image/png", [PICTURE, b"120"].concat()));

    let document: Value = get("/openapi.json").await?.json().await?;
    let answer = &document["paths"]["/v1/sessions/{id}/pairing.png"]["get"]["responses"]["200"]["content"];
    assert_eq!(*answer, json!({"*/*": {"schema": {"type": "string", "format": "binary"}}}));
    let watch = &document["paths"]["/v1/sessions/{id}/pairing:watch"]["get"]["responses"]["200"]["content"];
    assert_eq!(watch["text/event-stream"]["schema"]["$ref"], "#/components/schemas/barid.session_pool.v1.Pairing");
    Ok(())
}
