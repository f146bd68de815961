//! What a replica tells its operators as metrics, in Prometheus' text format. Pure.

use barid_proto::session_pool::v1::Replica;
use std::fmt::Write;

/// The figures of a replica.
pub(crate) fn prometheus(replica: &Replica) -> String {
    let state = |name: &str| replica.holders.iter().filter(|holder| holder.state == name).count() as u64;
    let unacknowledged: u64 = replica.holders.iter().map(|holder| u64::from(holder.unacknowledged)).sum();
    let figures = [
        ("barid_pool_slots", "gauge", "Connections to WhatsApp Web that the replica may hold", u64::from(replica.slots)),
        ("barid_pool_slots_used", "gauge", "Connections that it holds or makes", u64::from(replica.slots_used)),
        ("barid_pool_warming", "gauge", "Connections that it makes, of the first 500", state("warming")),
        ("barid_pool_draining", "gauge", "Connections that it ends, of the first 500", state("draining")),
        ("barid_pool_waiting", "gauge", "Sessions that wait for a slot, of the first 500", replica.waiting.len() as u64),
        ("barid_pool_in_flight", "gauge", "Messages under way", u64::from(replica.in_flight)),
        ("barid_pool_unacknowledged", "gauge", "Messages that WhatsApp Web has not acknowledged", unacknowledged),
        ("barid_pool_logins_total", "counter", "Logins begun", replica.logins),
        ("barid_pool_failed_logins_total", "counter", "Logins that failed", replica.failed_logins),
    ];
    figures.iter().fold(String::new(), |mut text, (name, kind, help, value)| {
        // Writing to a string does not fail.
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_help_and_type() {
        let text = prometheus(&Replica { slots: 20, slots_used: 3, logins: 7, ..Replica::default() });
        assert!(text.contains("# TYPE barid_pool_slots_used gauge\nbarid_pool_slots_used 3\n"), "{text}");
        assert!(text.contains("barid_pool_logins_total 7\n"));
        assert_eq!(text.lines().count() % 3, 0);
    }
}
