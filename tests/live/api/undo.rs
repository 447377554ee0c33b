//! Decisions that are taken back, over the channel.

use serde_json::{Value, json};

use crate::api::channel_client::{Channel, ask, event};
use crate::api::person::Person;
use crate::api::server::Server;

#[tokio::test]
async fn a_decision_is_taken_back_and_everybody_is_told() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let ana = Person::named(&server, "ana", "participant").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    let (mut ana, _) = Channel::enter(&server, &session, &ana).await;
    let wish = json!({"type": "request_speech", "kind": "normal"});
    let request = ask(&mut ana, wish, 1).await["request_id"].clone();
    let approve = json!({"type": "approve_speech", "request_id": request});
    let approved = ask(&mut chair, approve, 1).await;
    assert_eq!(approved["type"], "ack", "{approved}");
    let named = approved["action_id"].clone();
    assert_eq!(event(&mut ana, "speech_approved").await["action_id"], named);

    let undo = json!({"type": "undo", "action_id": named});
    let refused = ask(&mut ana, undo.clone(), 2).await;
    assert_eq!(refused["code"], "FORBIDDEN", "{refused}");
    let undone = ask(&mut chair, undo.clone(), 2).await;
    assert_eq!((&undone["type"], &undone["action_id"]), (&json!("ack"), &Value::Null), "{undone}");
    let told = event(&mut ana, "action_undone").await;
    assert_eq!(told["action_id"], named);
    assert_eq!((&told["action"], &told["by"]), (&json!("approve_speech"), &json!("chair")));
    // The same request again is the same request; another one finds nothing.
    assert_eq!(ask(&mut chair, undo.clone(), 2).await["type"], "ack");
    assert_eq!(ask(&mut chair, undo, 3).await["code"], "ACTION_NOT_FOUND");
    let malformed = ask(&mut chair, json!({"type": "undo", "action_id": "7"}), 4).await;
    assert_eq!(malformed["code"], "MALFORMED_REQUEST", "{malformed}");

    // Whoever comes later finds the request undecided.
    let late = Person::with_role(&server, "observer").await;
    let (_late, welcome) = Channel::enter(&server, &session, &late).await;
    assert_eq!(welcome["floor"]["requested"][0]["request_id"], request);
    assert_eq!(welcome["floor"]["queue"], json!([]));
    server.app.stop().await;
}
