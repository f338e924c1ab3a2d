//! Flows at the same time do not see each other.

use mock_idp::{FaultRequest, Filter};
use serde_json::{Value, json};

use crate::rig::{Rig, part, text};

/// One test among two hundred: an issuer, a client, a user and a fault of its own.
async fn flow(rig: &Rig, n: usize) {
    let root = format!("/tenant-{n}");
    let client = format!("client-{n}");
    let user = format!("user-{n}");
    let fault = FaultRequest {
        fault: "expires-in".to_owned(),
        with: Some(json!({ "value": n })),
        issuer: Some(root.clone()),
        client: Some(client.clone()),
        ..FaultRequest::default()
    };
    rig.idp.add_fault(fault.resolve().unwrap());
    let login = format!(
        "{}?client_id={client}&redirect_uri=http://localhost/cb&response_type=code&scope=openid&state=s{n}&nonce=n{n}&login_hint={user}",
        rig.url(&format!("{root}/authorize"))
    );
    let back = rig.get(&login).await.location();
    assert_eq!(back["state"], format!("s{n}"));
    let redeem = async |root: &str, client: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", back["code"].as_str()),
            ("redirect_uri", "http://localhost/cb"),
        ];
        let url = rig.url(&format!("{root}/oauth2/token"));
        rig.send(rig.http.post(url).basic_auth(client, Some("s")).form(&form)).await
    };
    // Neither another issuer nor another client gets anywhere with the code.
    let next = format!("/tenant-{}", n + 1);
    assert_eq!(redeem(&next, &client).await.status, 400);
    assert_eq!(redeem(&root, "somebody-else").await.status, 400);
    let answer: Value = redeem(&root, &client).await.json();
    assert_eq!(answer["expires_in"], n);
    let claims = part(text(&answer, "id_token"), 1);
    assert_eq!(
        (claims["sub"].as_str(), claims["nonce"].as_str()),
        (Some(user.as_str()), Some(format!("n{n}").as_str()))
    );
    assert_eq!(claims["iss"], rig.url(&root));
    let info = rig.http.get(rig.url(&format!("{next}/userinfo"))).bearer_auth(text(&answer, "access_token"));
    assert_eq!(rig.send(info).await.status, 401);
    let mine = rig.idp.exchanges(&Filter { issuer: Some(root), client: Some(client), ..Filter::default() });
    assert_eq!(mine.iter().filter(|e| !e.faults.is_empty()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_flows_do_not_see_each_other() {
    let rig = Rig::plain().await;
    let flows = (0..200).map(|n| flow(&rig, n));
    futures::future::join_all(flows).await;
}
