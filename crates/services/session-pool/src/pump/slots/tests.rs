use async_trait::async_trait;
use barid_whatsapp::{Failure as Refused, Outgoing, Sent};
use uuid::Uuid;

use super::*;
use crate::{
    balance::Rules,
    choice::Settings,
    store::{Errand, Limits, Sender},
};

const NOW: Duration = Duration::from_secs(1000);
const US: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// Stands for a connection; the board never speaks over one.
struct Line;

#[async_trait]
impl Link for Line {
    async fn send(&self, _: Outgoing) -> Result<Sent, Refused> {
        unreachable!("the board sends nothing")
    }

    async fn run(&self, _: &Errand) -> Result<Vec<u8>, &'static str> {
        unreachable!("the board runs nothing")
    }

    async fn close(&self) {}

    fn silence(&self) -> Duration {
        Duration::ZERO
    }
}

fn wall() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn after(seconds: i64) -> DateTime<Utc> {
    wall() + TimeDelta::seconds(seconds)
}

fn session(number: u128) -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(number))
}

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(99))
}

fn device(pinned: bool, owner: Option<Uuid>) -> Sender {
    let limits = Limits { first_contacts: DateTime::default(), reach_out: (DateTime::default(), 0) };
    let way = Way::Web(Device { name: String::new(), presence: false, pinned, linked: Some(wall()), visited: None, limits });
    Sender { tenant: tenant(), state: SessionState::Cold, way, messages_per_minute: 60_000, last_used: None, owner }
}

fn alive() -> [Alive; 2] {
    [US, OTHER].map(|id| Alive { id, owned: 0, takes: true })
}

fn balance(me: Uuid) -> Balance {
    Balance::new(me, 0, &alive(), 1, Rules::default())
}

/// A session for which the other replica comes first.
fn strange() -> SessionId {
    let is_first = |number: &u128| balance(OTHER).turn(session(*number), Duration::ZERO) == Turn::WithRoom;
    session((1..).find(is_first).expect("half of them"))
}

fn wanted(board: &mut Board, at: DateTime<Utc>) -> usize {
    board.candidates(NOW, at, &balance(US)).len()
}

/// A board on which this replica owns a device that sent something and is connected.
fn lingering() -> Board {
    let mut board = Board::new(Settings::default(), 4);
    board.set_due(&[(session(1), tenant())], &[], &alive(), NOW, wall());
    board.set_sender(session(1), Some(device(false, None)), NOW);
    board.owned(session(1), 7);
    board.dial(session(1), wall()).expect("it is ours");
    assert!(board.up(session(1), 7, Arc::new(Line), NOW).is_ok());
    board.set_due(&[], &[], &alive(), NOW, wall());
    assert!(board.began(session(1), tenant(), 7, NOW, 0.0).is_some());
    board.ended(session(1), NOW);
    board
}

#[test]
fn an_orphan_or_a_pin_that_its_first_replica_does_not_take_is_anybodys_soon_and_a_visit_later() {
    let session = strange();
    for (pinned, orphaned, patience) in [(false, true, 1), (true, false, 1), (false, false, 31)] {
        let listed = [(session, tenant())];
        let (due, orphans) = if orphaned { ([].as_slice(), listed.as_slice()) } else { (listed.as_slice(), [].as_slice()) };
        let mut board = Board::new(Settings::default(), 4);
        let look = |board: &mut Board, owner, seconds| {
            board.set_due(due, orphans, &alive(), NOW, after(seconds));
            board.set_sender(session, Some(device(pinned, owner)), NOW);
            wanted(board, after(seconds))
        };
        assert_eq!(look(&mut board, None, 0), 0, "another comes first");
        assert_eq!(look(&mut board, None, patience - 1), 0);
        assert_eq!(look(&mut board, None, patience), 1, "pinned: {pinned}, orphaned: {orphaned}");
        assert_eq!(look(&mut board, Some(OTHER), patience + 1), 1, "until the other is known to have it");
        assert_eq!(look(&mut board, Some(OTHER), patience + 2), 0);
        assert_eq!(look(&mut board, None, patience + 3), 0, "and then it waits anew");
    }
}

#[test]
fn a_login_that_fails_is_owed_and_no_visit() {
    let mut board = Board::new(Settings::default(), 4);
    board.set_due(&[], &[(session(1), tenant())], &alive(), NOW, wall());
    board.set_sender(session(1), Some(device(false, None)), NOW);
    board.owned(session(1), 7);
    board.dial(session(1), wall()).expect("it is ours");
    board.set_due(&[], &[], &alive(), NOW, wall());
    assert!(board.down(session(1), Next::BackOff(false), wall(), NOW), "it was a login");
    assert_eq!(board.visited(session(1)), None);
    let candidates = board.candidates(NOW, wall(), &balance(US));
    assert!(candidates.len() == 1 && candidates[0].waiting == 1, "{candidates:?}");
    board.dial(session(1), wall()).expect("again");
    assert!(board.up(session(1), 7, Arc::new(Line), NOW).is_ok());
    assert!(!board.down(session(1), Next::Nothing, after(9), NOW));
    assert_eq!((board.visited(session(1)), wanted(&mut board, after(9))), (Some(after(9)), 0), "it had what it was owed");
}

#[test]
fn what_lingered_until_it_was_lost_is_owed_another_and_given_up_it_is_offered() {
    let mut board = lingering();
    assert!(!board.down(session(1), Next::Reconnect, after(9), NOW));
    assert_eq!(wanted(&mut board, after(9)), 1);
    assert_eq!(board.give_up(session(1)), Some(GivenUp { session: session(1), epoch: 7, offered: true }));
    assert_eq!(wanted(&mut board, after(9)), 0);

    let mut heard = Board::new(Settings::default(), 4);
    heard.set_due(&[(session(1), tenant())], &[], &alive(), NOW, wall());
    heard.set_sender(session(1), Some(device(false, None)), NOW);
    heard.owned(session(1), 7);
    heard.dial(session(1), wall()).expect("it is ours");
    assert!(heard.up(session(1), 7, Arc::new(Line), NOW).is_ok());
    heard.set_due(&[], &[], &alive(), NOW, wall());
    heard.set_sender(session(1), Some(Sender { last_used: Some(after(3)), ..device(false, None) }), NOW);
    heard.down(session(1), Next::Reconnect, after(9), NOW);
    assert_eq!(wanted(&mut heard, after(9)), 1, "a customer wrote meanwhile");

    let mut idle = lingering();
    let late = NOW + idle.rules.linger;
    idle.down(session(1), Next::Reconnect, after(700), late);
    assert_eq!(wanted(&mut idle, after(700)), 0, "it would not linger any more");
}

#[test]
fn a_replica_that_leaves_leaves_only_what_lingered_for_others_to_connect() {
    let mut board = lingering();
    board.hang_up(wall(), NOW);
    board.down(session(1), Next::Nothing, wall(), NOW);
    assert_eq!(board.finished(), [], "its row tells the next owner");

    for closing in [false, true] {
        let mut board = lingering();
        board.drain_slot(session(1));
        if closing {
            assert_eq!(board.closable().len(), 1);
        }
        board.hang_up(wall(), NOW);
        assert_eq!(board.finished(), [], "it is connected still");
        board.down(session(1), Next::Nothing, wall(), NOW);
        assert_eq!(board.finished(), [GivenUp { session: session(1), epoch: 7, offered: false }], "its turn was over");
    }
    let mut cold = lingering();
    cold.down(session(1), Next::Reconnect, after(700), NOW + cold.rules.linger);
    assert_eq!(cold.finished().len(), 1, "it was not even connected");
}

#[test]
fn the_row_of_a_connection_that_idles_is_read_now_and_then() {
    let mut board = lingering();
    board.set_sender(session(1), Some(device(false, None)), NOW);
    let unread = |board: &Board, later, connected| board.unread(NOW + Duration::from_secs(later), after(connected)).len();
    assert_eq!([unread(&board, 4, 59), unread(&board, 5, 59)], [0, 1], "it was connected a moment ago");
    assert_eq!([unread(&board, 29, 60), unread(&board, 30, 60)], [0, 1]);
    board.changed(session(1));
    assert_eq!(unread(&board, 0, 60), 1, "unless somebody tells");
}
