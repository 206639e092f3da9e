use serde_json::json;
use tokio::io::AsyncBufReadExt;

use super::request::parse;
use super::*;
use crate::rpc::envelope::code;

#[test]
fn a_notification_has_no_answer_even_when_its_parameters_are_wrong() {
    let refused = |request| parse(request).err().expect("params are named");
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": "domain.show", "params": ["x"]});
    let with_id = refused(request.clone());
    assert_eq!(with_id.id, Some(RequestId::Number(7)));
    assert_eq!(with_id.fault.code, code::INVALID_PARAMS);
    let mut notification = request;
    notification.as_object_mut().unwrap().remove("id");
    assert_eq!(refused(notification).id, None);
    // What is no request at all is answered, to nobody in particular.
    assert_eq!(refused(json!({"method": "domain.show"})).id, Some(RequestId::Null));
}

#[tokio::test]
async fn a_client_without_a_place_is_told_so() {
    let (theirs, ours) = UnixStream::pair().unwrap();
    turn_away(ours, 1).await;
    let mut line = String::new();
    BufReader::new(theirs).read_line(&mut line).await.unwrap();
    assert!(line.contains("too many connections") && line.ends_with('\n'), "{line}");
}
