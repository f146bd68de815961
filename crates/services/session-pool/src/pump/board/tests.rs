use barid_domain::Secret;
use barid_whatsapp::cloud::Number;
use uuid::Uuid;

use super::*;
use crate::balance::{Activity, Replica, Rules};

const NOW: Duration = Duration::from_secs(1000);

fn wall() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn session(number: u128) -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(number))
}

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(99))
}

fn demand(number: u128, batch: u64) -> SessionDemand {
    let oldest_due_time = Some(barid_proto::timestamp(wall()));
    SessionDemand { session_id: session(number).to_string(), tenant_id: tenant().to_string(), batch, oldest_due_time, ..Default::default() }
}

fn sender(state: SessionState) -> Option<Sender> {
    let number = Number { phone_number_id: "1".into(), access_token: Secret::new("t") };
    let way = Way::Cloud { number, portfolio: String::new() };
    Some(Sender { tenant: tenant(), state, way, messages_per_minute: 60_000, last_used: None, owner: None })
}

/// As the first of replicas that own so many sessions sees it.
fn balance(owned: &[usize]) -> Balance {
    let replicas: Vec<Replica> =
        (1..).zip(owned).map(|(id, owned)| Replica { id: Uuid::from_u128(id), owned: *owned, takes: true }).collect();
    Balance::new(replicas[0].id, owned[0], &replicas, 0, Rules::default())
}

/// A board with one session, ours, for which so many messages wait.
fn board(waiting: u64) -> Board {
    let mut board = Board::new(choice::Settings::default(), 4);
    board.set_demand(vec![demand(1, waiting)], NOW);
    assert_eq!(board.unread(NOW, wall()), [session(1)]);
    board.set_sender(session(1), sender(SessionState::Cold), NOW);
    board.owned(session(1), 7);
    board
}

fn most(board: &mut Board, now: Duration) -> u32 {
    board.wishes(now, wall()).first().map_or(0, |wish| wish.most)
}

#[test]
fn a_session_wishes_for_no_more_than_waits_and_may_be_under_way() {
    let mut few = board(3);
    assert_eq!(most(&mut few, NOW), 3);
    let mut many = board(100);
    assert_eq!(most(&mut many, NOW), 4);
    assert!(many.began(session(1), tenant(), 7, NOW, 0.0).is_some());
    assert_eq!((most(&mut many, NOW), many.in_flight()), (3, 1));
    many.ended(session(1), NOW);
    assert_eq!((most(&mut many, NOW), many.in_flight()), (4, 0));
}

#[test]
fn only_an_owner_under_this_epoch_sends() {
    let mut board = board(5);
    assert!(board.began(session(1), tenant(), 6, NOW, 0.0).is_none(), "an older epoch");
    board.lost(session(1));
    assert!(board.began(session(1), tenant(), 7, NOW, 0.0).is_none());
    assert_eq!((most(&mut board, NOW), board.in_flight()), (0, 2));
    let takeable = |board: &Board, now| board.takeable(now, wall(), &balance(&[0]));
    assert_eq!(takeable(&board, NOW), [session(1)]);
    board.set_taken(&[session(1)], &[], NOW + Duration::from_secs(2));
    assert!(takeable(&board, NOW).is_empty(), "another has it");
    assert_eq!(takeable(&board, NOW + Duration::from_secs(2)), [session(1)], "worth asking again");
    board.set_taken(&[session(1)], &[(session(1), 8)], NOW);
    assert_eq!(board.fencing(), [(session(1), 8)]);
    assert_eq!(most(&mut board, NOW), 0, "the ledger does not know it yet");
    board.owned(session(1), 8);
    assert_eq!(most(&mut board, NOW), 2, "two are still to be given back");
}

#[test]
fn a_favourite_of_another_replica_is_left_to_it_for_a_second() {
    let board = {
        let mut board = board(5);
        board.lost(session(1));
        board
    };
    let replicas = [1, 2].map(|id| Replica { id: Uuid::from_u128(id), owned: 0, takes: true });
    let takes = |replica: &Replica, after| {
        let balance = Balance::new(replica.id, 0, &replicas, 1, Rules::default());
        board.takeable(NOW, wall() + TimeDelta::milliseconds(after), &balance).len()
    };
    assert_eq!(replicas.iter().map(|replica| takes(replica, 0)).sum::<usize>(), 1);
    assert_eq!(replicas.iter().map(|replica| takes(replica, 1000)).sum::<usize>(), 2);
}

#[test]
fn a_replica_with_its_share_leaves_sessions_to_those_with_room() {
    let mut board = Board::new(choice::Settings::default(), 4);
    board.set_demand((0..50).map(|number| demand(number, 1)).collect(), NOW);
    for number in 0..50 {
        board.set_sender(session(number), sender(SessionState::Cold), NOW);
    }
    let takes = |board: &Board, owned: &[usize], after| board.takeable(NOW, wall() + TimeDelta::seconds(after), &balance(owned)).len();
    assert_eq!([takes(&board, &[40, 0], 0), takes(&board, &[40, 0], 4)], [0, 0]);
    assert_eq!(takes(&board, &[40, 0], 5), 2, "nobody took them after all");
    assert_eq!(takes(&board, &[20, 40], 0), 17, "its share, and the other's favourites with it: the other has no room");

    assert_eq!(board.owners(&[], wall(), NOW), (0, 50));
    let other = Replica { id: Uuid::from_u128(2), owned: 30, takes: true };
    for number in 0..30 {
        let sender = sender(SessionState::Cold).map(|sender| Sender { owner: Some(other.id), ..sender });
        board.set_sender(session(number), sender, NOW);
    }
    board.set_taken(&[session(30), session(31)], &[(session(30), 1)], NOW + Duration::from_secs(2));
    assert_eq!(board.owners(&[other], wall(), NOW), (1, 18), "one is ours, and one was just found to be somebody's");
    assert_eq!(board.owners(&[], wall(), NOW), (1, 48), "their owner died");
}

#[test]
fn a_session_that_leaves_claims_nothing_more_and_goes_when_nothing_is_under_way() {
    let mut board = board(5);
    board.began(session(1), tenant(), 7, NOW, 0.0);
    board.leave(session(1));
    assert_eq!((most(&mut board, NOW), board.departed()), (0, vec![]), "one message is under way");
    assert_eq!((board.owners(&[], wall(), NOW), board.activities(NOW, wall()).len()), ((0, 0), 0), "no more ours to let go");
    board.ended(session(1), NOW);
    assert_eq!(board.departed(), [GivenUp { session: session(1), epoch: 7, offered: true }]);
    assert_eq!((board.epoch(session(1)), board.departed()), (None, vec![]));
}

#[test]
fn who_works_or_rests_stays_and_who_is_idle_may_go() {
    let mut board = board(5);
    let activity = |board: &Board, now| board.activities(now, wall())[0].activity;
    assert_eq!(activity(&board, NOW), Activity::Busy, "messages wait");
    board.set_demand(vec![], NOW);
    let since = Duration::from_secs(3);
    assert_eq!(activity(&board, NOW + since), Activity::Idle { since });
    board.began(session(1), tenant(), 7, NOW, 0.0);
    assert_eq!(activity(&board, NOW), Activity::Busy, "one is under way");
    board.ended(session(1), NOW);
    for _ in 0..3 {
        board.failed(session(1), NOW);
    }
    assert_eq!(activity(&board, NOW), Activity::Busy, "it rests, and would fail elsewhere");
}

#[test]
fn what_is_offered_is_taken_by_one_with_room_although_nothing_waits() {
    let mut board = Board::new(choice::Settings::default(), 4);
    board.set_offered(&[(session(1), tenant())], NOW, wall());
    assert_eq!(board.unread(NOW, wall()), [session(1)]);
    board.set_sender(session(1), sender(SessionState::Cold), NOW);
    let counted = |counted| board.owners(&[], counted, NOW).1;
    assert_eq!((counted(wall()), counted(wall() - TimeDelta::seconds(1))), (1, 0), "its last owner was counted with it");
    assert_eq!(board.takeable(NOW, wall(), &balance(&[40, 0])), [], "who let it go has no room");
    assert_eq!(board.takeable(NOW, wall(), &balance(&[0, 40])), [session(1)]);
    board.set_taken(&[session(1)], &[], NOW + Duration::from_secs(2));
    board.set_offered(&[(session(1), tenant())], NOW, wall());
    assert_eq!(board.takeable(NOW, wall(), &balance(&[0, 40])), [session(1)], "its owner let it go since");
    board.set_offered(&[], NOW, wall());
    assert_eq!(board.takeable(NOW, wall(), &balance(&[0, 40])), [], "taken, or not on offer any more");
}

#[test]
fn what_cannot_be_claimed_yet_is_asked_for_less_and_less_until_something_moves() {
    let mut board = board(2);
    let mut now = NOW;
    for pause in [50, 100, 200, 400, 800, 1000, 1000] {
        assert_eq!(most(&mut board, now), 2);
        board.answered(session(1), 2, 0, now);
        board.set_demand(vec![demand(1, 2)], now);
        assert_eq!((most(&mut board, now), board.wait(now)), (0, Duration::from_millis(pause)));
        now += Duration::from_millis(pause);
    }
    board.answered(session(1), 2, 0, now);
    board.set_demand(vec![demand(1, 3)], now);
    assert_eq!(most(&mut board, now), 3, "another message came");
    board.answered(session(1), 3, 0, now);
    board.set_demand(vec![demand(1, 3)], now);
    board.ended(session(1), now);
    assert_eq!(most(&mut board, now), 3, "what they wait for may be the one that ended");
}

#[test]
fn a_session_that_rests_claims_nothing_until_its_row_says_otherwise() {
    let mut board = board(5);
    assert_eq!(board.pause(session(1)), Some((tenant(), 0)));
    assert_eq!((board.pause(session(1)), most(&mut board, NOW)), (None, 0));
    assert_eq!(board.stop(session(1)), Some(tenant()), "a stop goes over a pause");
    assert_eq!(board.stop(session(1)), None);
    board.changed(session(1));
    assert_eq!(board.unread(NOW, wall()), [session(1)]);
    board.set_sender(session(1), sender(SessionState::Cold), NOW);
    assert_eq!((most(&mut board, NOW), board.pause(session(1))), (4, Some((tenant(), 1))), "its strikes are remembered");
    board.set_sender(session(1), None, NOW);
    assert_eq!(most(&mut board, NOW), 0, "deleted");
}

#[test]
fn a_session_runs_against_a_wall_only_so_often() {
    let mut board = board(50);
    for _ in 0..3 {
        board.failed(session(1), NOW);
    }
    assert_eq!((most(&mut board, NOW), board.wait(NOW)), (0, Duration::from_secs(1)));
    assert_eq!(most(&mut board, NOW + Duration::from_secs(1)), 1);
    board.succeeded(session(1));
    assert_eq!(most(&mut board, NOW), 4);
}

#[test]
fn last_use_is_written_once_a_minute_and_the_idle_are_forgotten() {
    let mut board = board(5);
    board.began(session(1), tenant(), 7, NOW, 0.0);
    assert_eq!((board.used(NOW), board.used(NOW)), (vec![session(1)], vec![]));
    board.began(session(1), tenant(), 7, NOW, 0.0);
    assert!(board.used(NOW + Duration::from_secs(59)).is_empty());
    assert_eq!(board.used(NOW + Duration::from_secs(60)), [session(1)]);
    board.ended(session(1), NOW);
    board.ended(session(1), NOW);
    board.set_demand(vec![], NOW);
    assert_eq!((board.prune(NOW + Duration::from_secs(599)), board.epoch(session(1))), (vec![], Some(7)));
    let given_up = GivenUp { session: session(1), epoch: 7, offered: false };
    assert_eq!((board.prune(NOW + Duration::from_secs(600)), board.epoch(session(1))), (vec![given_up], None));
}
