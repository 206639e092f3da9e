use super::*;

fn who(client: u32, group: u64) -> Who {
    Who { client: ClientKey::of_uid(client), group }
}

/// Lets each of those that wait have its turn, one after the other; says in which order.
fn order(first: PlaceInLine, mut waiting: Vec<(u32, PlaceInLine)>) -> Vec<u32> {
    let mut order = Vec::new();
    drop(first);
    while !waiting.is_empty() {
        let mut next = None;
        for (index, (_, place)) in waiting.iter_mut().enumerate() {
            let called = place.call.as_mut().expect("not asked yet").try_recv();
            assert_ne!(called, Err(oneshot::error::TryRecvError::Closed), "nobody is displaced");
            if called.is_ok() {
                assert_eq!(next.replace(index), None, "one at a time");
            }
        }
        order.push(waiting.remove(next.expect("somebody is next")).0);
    }
    order
}

#[tokio::test]
async fn clients_go_in_turn_and_those_of_one_in_their_order() {
    let line = Arc::new(Line::new(1));
    let mut first = line.join(who(9, 0), 100).unwrap();
    first.turn().await.unwrap();
    let join = |number: u32, client| (number, line.join(who(client, 0), 100).unwrap());
    let waiting =
        vec![join(10, 1), join(11, 1), join(12, 1), join(13, 1), join(20, 2), join(30, 3)];
    assert_eq!(line.taken(), 7);
    assert_eq!(order(first, waiting), [10, 20, 30, 11, 12, 13]);
    assert_eq!(line.taken(), 0);
    line.join(who(1, 0), 1).unwrap().turn().await.unwrap();
}

#[tokio::test]
async fn of_many_clients_with_one_place_each_groups_go_in_turn() {
    let line = Arc::new(Line::new(1));
    let first = line.join(who(99, 7), 100).unwrap();
    let mut waiting = Vec::new();
    for client in 0..4 {
        waiting.push((client, line.join(who(client, 1), 100).unwrap()));
    }
    waiting.push((50, line.join(who(50, 2), 100).unwrap()));
    let order = order(first, waiting);
    assert!(order[..2].contains(&50), "{order:?}");
}

#[tokio::test]
async fn who_has_the_most_makes_room_for_who_has_less() {
    let line = Arc::new(Line::new(1));
    let mut flood: Vec<_> = (0..10).map(|_| line.join(who(1, 0), 10).unwrap()).collect();
    flood[0].turn().await.unwrap();
    assert_eq!(line.join(who(1, 0), 10).err(), Some(NoPlace::Full), "its own are its own");
    let mut other = line.join(who(2, 0), 10).unwrap();
    assert_eq!(flood[9].turn().await, Err(NoPlace::Displaced));
    assert_eq!(line.taken(), 10);
    drop(flood.remove(0));
    other.turn().await.unwrap();
    // Even shares stay as they are.
    let even: Vec<_> = (0..4).map(|_| line.join(who(2, 0), 10).unwrap()).collect();
    assert_eq!(line.join(who(2, 0), 10).err(), Some(NoPlace::Full));
    drop((flood, even, other));
    assert_eq!(line.taken(), 0);
}

#[tokio::test]
async fn a_group_of_many_clients_makes_room_for_another_group() {
    let line = Arc::new(Line::new(0));
    let mut many: Vec<_> = (0..10).map(|n| line.join(who(n, 1), 10).unwrap()).collect();
    assert_eq!(line.join(who(20, 1), 10).err(), Some(NoPlace::Full));
    let other = line.join(who(20, 2), 10).unwrap();
    assert_eq!(many[9].turn().await, Err(NoPlace::Displaced));
    drop((many, other));
    let queue = line.queue.lock();
    assert!(queue.order.is_empty() && queue.clients.is_empty() && queue.groups.is_empty());
}

#[tokio::test]
async fn turns_that_are_added_call_whoever_waits_and_none_is_lost() {
    let line = Arc::new(Line::new(0));
    let (mut one, mut two) = (line.join(who(1, 0), 9).unwrap(), line.join(who(2, 0), 9).unwrap());
    line.add_turn();
    one.turn().await.unwrap();
    // Called, and gone before it heard.
    drop(one);
    two.turn().await.unwrap();
    assert_eq!(two.turn().await, Ok(()), "it has it still");
    drop(two);
    assert_eq!(line.queue.lock().turns, 1);
}
