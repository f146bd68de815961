//! Which addresses anybody can reach.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Why an address is not fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unspecified,
    Loopback,
    Private,
    LinkLocal,
    Metadata,
    CarrierNat,
    Benchmarking,
    Documentation,
    Multicast,
    Broadcast,
    UniqueLocal,
    SiteLocal,
    /// An IPv4 address written as an IPv6 one: mapped, compatible or translated.
    Ipv4InIpv6,
    Nat64,
    SixToFour,
    Teredo,
    Isatap,
    Reserved,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "the unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::CarrierNat => "a shared address of a carrier's NAT",
            Self::Benchmarking => "a benchmarking address",
            Self::Documentation => "a documentation address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::UniqueLocal => "a unique local address",
            Self::SiteLocal => "a site-local address",
            Self::Ipv4InIpv6 => "an IPv4 address within an IPv6 address",
            Self::Nat64 => "a NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
            Self::Isatap => "an ISATAP address",
            Self::Reserved => "a reserved address",
        })
    }
}

type V4 = (Ipv4Addr, u32, Refusal);
type V6 = (Ipv6Addr, u32, Refusal);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u32, refusal: Refusal) -> V4 {
    (Ipv4Addr::new(a, b, c, d), prefix, refusal)
}

const fn v6(head: [u16; 4], tail: [u16; 4], prefix: u32, refusal: Refusal) -> V6 {
    let ([a, b, c, d], [e, f, g, h]) = (head, tail);
    (Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix, refusal)
}

/// IANA's special-purpose registry for IPv4, and the metadata services outside of link-local; the first match tells the reason.
const V4_REFUSED: [V4; 23] = [
    v4(0, 0, 0, 0, 32, Refusal::Unspecified),
    v4(169, 254, 169, 254, 32, Refusal::Metadata),
    // Of Alibaba, Oracle and Azure.
    v4(100, 100, 100, 200, 32, Refusal::Metadata),
    v4(192, 0, 0, 192, 32, Refusal::Metadata),
    v4(168, 63, 129, 16, 32, Refusal::Metadata),
    v4(255, 255, 255, 255, 32, Refusal::Broadcast),
    v4(0, 0, 0, 0, 8, Refusal::Reserved),
    v4(10, 0, 0, 0, 8, Refusal::Private),
    v4(100, 64, 0, 0, 10, Refusal::CarrierNat),
    v4(127, 0, 0, 0, 8, Refusal::Loopback),
    v4(169, 254, 0, 0, 16, Refusal::LinkLocal),
    v4(172, 16, 0, 0, 12, Refusal::Private),
    v4(192, 0, 0, 0, 24, Refusal::Reserved),
    v4(192, 0, 2, 0, 24, Refusal::Documentation),
    v4(192, 88, 99, 0, 24, Refusal::SixToFour),
    v4(192, 168, 0, 0, 16, Refusal::Private),
    v4(198, 18, 0, 0, 15, Refusal::Benchmarking),
    v4(198, 51, 100, 0, 24, Refusal::Documentation),
    v4(203, 0, 113, 0, 24, Refusal::Documentation),
    v4(224, 0, 0, 0, 4, Refusal::Multicast),
    v4(240, 0, 0, 0, 4, Refusal::Reserved),
    // Anycast that ends in the caller's own network: AS112 and AMT relays.
    v4(192, 175, 48, 0, 24, Refusal::Reserved),
    v4(192, 52, 193, 0, 24, Refusal::Reserved),
];

/// The same for IPv6, where all that is not global unicast is refused anyway.
const V6_REFUSED: [V6; 21] = [
    v6([0, 0, 0, 0], [0, 0, 0, 0], 128, Refusal::Unspecified),
    v6([0, 0, 0, 0], [0, 0, 0, 1], 128, Refusal::Loopback),
    v6([0xfd00, 0xec2, 0, 0], [0, 0, 0, 0x254], 128, Refusal::Metadata),
    v6([0xfd20, 0xce, 0, 0], [0, 0, 0, 0x254], 128, Refusal::Metadata),
    v6([0, 0, 0, 0], [0, 0xffff, 0, 0], 96, Refusal::Ipv4InIpv6),
    v6([0, 0, 0, 0], [0xffff, 0, 0, 0], 96, Refusal::Ipv4InIpv6),
    v6([0, 0, 0, 0], [0, 0, 0, 0], 96, Refusal::Ipv4InIpv6),
    v6([0x64, 0xff9b, 0, 0], [0, 0, 0, 0], 96, Refusal::Nat64),
    v6([0x64, 0xff9b, 1, 0], [0, 0, 0, 0], 48, Refusal::Nat64),
    v6([0x2001, 0, 0, 0], [0, 0, 0, 0], 32, Refusal::Teredo),
    v6([0x2001, 2, 0, 0], [0, 0, 0, 0], 48, Refusal::Benchmarking),
    // Protocol assignments, with both generations of ORCHID.
    v6([0x2001, 0, 0, 0], [0, 0, 0, 0], 23, Refusal::Reserved),
    v6([0x2001, 0xdb8, 0, 0], [0, 0, 0, 0], 32, Refusal::Documentation),
    v6([0x2002, 0, 0, 0], [0, 0, 0, 0], 16, Refusal::SixToFour),
    v6([0x2620, 0x4f, 0x8000, 0], [0, 0, 0, 0], 48, Refusal::Reserved),
    v6([0x3ffe, 0, 0, 0], [0, 0, 0, 0], 16, Refusal::Reserved),
    v6([0x3fff, 0, 0, 0], [0, 0, 0, 0], 20, Refusal::Documentation),
    v6([0xfc00, 0, 0, 0], [0, 0, 0, 0], 7, Refusal::UniqueLocal),
    v6([0xfe80, 0, 0, 0], [0, 0, 0, 0], 10, Refusal::LinkLocal),
    v6([0xfec0, 0, 0, 0], [0, 0, 0, 0], 10, Refusal::SiteLocal),
    v6([0xff00, 0, 0, 0], [0, 0, 0, 0], 8, Refusal::Multicast),
];

/// Whether an address belongs to the public internet.
pub fn is_public(ip: IpAddr) -> Result<(), Refusal> {
    let refusal = match ip {
        IpAddr::V4(ip) => {
            let within = |(net, prefix, _): &&V4| (ip.to_bits() ^ net.to_bits()) >> (32 - prefix) == 0;
            V4_REFUSED.iter().find(within).map(|(_, _, refusal)| *refusal)
        }
        IpAddr::V6(ip) => {
            let within = |(net, prefix, _): &&V6| (ip.to_bits() ^ net.to_bits()) >> (128 - prefix) == 0;
            V6_REFUSED.iter().find(within).map(|(_, _, refusal)| *refusal).or_else(|| structure(ip))
        }
    };
    refusal.map_or(Ok(()), Err)
}

/// What an IPv6 address shows beyond the blocks it lies in.
fn structure(ip: Ipv6Addr) -> Option<Refusal> {
    let [first, _, _, _, fifth, sixth, ..] = ip.segments();
    if first & 0xe000 != 0x2000 {
        Some(Refusal::Reserved)
    } else if fifth & 0xfdff == 0 && sixth == 0x5efe {
        Some(Refusal::Isatap)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn judge(ip: &str) -> Result<(), Refusal> {
        is_public(ip.parse().expect("an address"))
    }

    /// First and last address of a block, and the neighbours outside of it that are public.
    const BLOCKS: [(&str, &str, Refusal, &[&str]); 44] = [
        ("0.0.0.0", "0.0.0.0", Refusal::Unspecified, &[]),
        ("0.0.0.1", "0.255.255.255", Refusal::Reserved, &["1.0.0.0"]),
        ("10.0.0.0", "10.255.255.255", Refusal::Private, &["9.255.255.255", "11.0.0.0"]),
        ("100.64.0.0", "100.127.255.255", Refusal::CarrierNat, &["100.63.255.255", "100.128.0.0"]),
        ("100.100.100.200", "100.100.100.200", Refusal::Metadata, &[]),
        ("127.0.0.0", "127.255.255.255", Refusal::Loopback, &["126.255.255.255", "128.0.0.0"]),
        ("169.254.0.0", "169.254.255.255", Refusal::LinkLocal, &["169.253.255.255", "169.255.0.0"]),
        ("169.254.169.254", "169.254.169.254", Refusal::Metadata, &[]),
        ("168.63.129.16", "168.63.129.16", Refusal::Metadata, &["168.63.129.15", "168.63.129.17"]),
        ("172.16.0.0", "172.31.255.255", Refusal::Private, &["172.15.255.255", "172.32.0.0"]),
        ("192.0.0.0", "192.0.0.255", Refusal::Reserved, &["191.255.255.255", "192.0.1.0"]),
        ("192.0.0.192", "192.0.0.192", Refusal::Metadata, &[]),
        ("192.0.2.0", "192.0.2.255", Refusal::Documentation, &["192.0.1.255", "192.0.3.0"]),
        ("192.52.193.0", "192.52.193.255", Refusal::Reserved, &["192.52.192.255", "192.52.194.0"]),
        ("192.88.99.0", "192.88.99.255", Refusal::SixToFour, &["192.88.98.255", "192.88.100.0"]),
        ("192.168.0.0", "192.168.255.255", Refusal::Private, &["192.167.255.255", "192.169.0.0"]),
        ("192.175.48.0", "192.175.48.255", Refusal::Reserved, &["192.175.47.255", "192.175.49.0"]),
        ("198.18.0.0", "198.19.255.255", Refusal::Benchmarking, &["198.17.255.255", "198.20.0.0"]),
        ("198.51.100.0", "198.51.100.255", Refusal::Documentation, &["198.51.99.255", "198.51.101.0"]),
        ("203.0.113.0", "203.0.113.255", Refusal::Documentation, &["203.0.112.255", "203.0.114.0"]),
        ("224.0.0.0", "239.255.255.255", Refusal::Multicast, &["223.255.255.255"]),
        ("240.0.0.0", "255.255.255.254", Refusal::Reserved, &[]),
        ("255.255.255.255", "255.255.255.255", Refusal::Broadcast, &[]),
        ("::", "::", Refusal::Unspecified, &[]),
        ("::1", "::1", Refusal::Loopback, &[]),
        ("::2", "::ffff:ffff", Refusal::Ipv4InIpv6, &[]),
        ("::ffff:0.0.0.0", "::ffff:255.255.255.255", Refusal::Ipv4InIpv6, &[]),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", Refusal::Ipv4InIpv6, &[]),
        ("64:ff9b::", "64:ff9b::255.255.255.255", Refusal::Nat64, &[]),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Refusal::Nat64, &[]),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Teredo, &["2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Refusal::Benchmarking, &[]),
        ("2001:10::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Reserved, &["2001:200::"]),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Documentation, &["2001:db7::1", "2001:db9::"]),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::SixToFour, &["2003::"]),
        ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", Refusal::Reserved, &["2620:4f:7fff::", "2620:4f:8001::"]),
        ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Reserved, &["3ffd::"]),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Documentation, &["3fff:1000::"]),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::UniqueLocal, &[]),
        ("fd00:ec2::254", "fd00:ec2::254", Refusal::Metadata, &[]),
        ("fd20:ce::254", "fd20:ce::254", Refusal::Metadata, &[]),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::LinkLocal, &[]),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::SiteLocal, &[]),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Refusal::Multicast, &[]),
    ];

    #[test]
    fn blocks_end_where_they_should() {
        for (first, last, refusal, outside) in BLOCKS {
            assert_eq!(judge(first), Err(refusal), "{first}");
            assert_eq!(judge(last), Err(refusal), "{last}");
            for neighbour in outside {
                assert_eq!(judge(neighbour), Ok(()), "{neighbour}");
            }
        }
    }

    #[test]
    fn every_refusal_has_a_block() {
        for (_, _, refusal) in V4_REFUSED {
            assert!(BLOCKS.iter().any(|block| block.2 == refusal), "{refusal}");
        }
        for (net, _, refusal) in V6_REFUSED {
            assert!(BLOCKS.iter().any(|block| block.2 == refusal), "{refusal} of {net}");
        }
    }

    #[test]
    fn the_internet_is_public() {
        for ip in ["1.1.1.1", "8.8.8.8", "93.184.216.34", "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001:830::200e"] {
            assert_eq!(judge(ip), Ok(()), "{ip}");
        }
    }

    #[test]
    fn tunnels_and_what_is_not_global_unicast_are_refused() {
        assert_eq!(judge("2606:4700::5efe:10.0.0.1"), Err(Refusal::Isatap));
        assert_eq!(judge("2606:4700::200:5efe:10.0.0.1"), Err(Refusal::Isatap));
        for ip in ["100::1", "1fff:ffff::", "4000::", "5f00::1", "64:ff9a::", "64:ff9b:0:0:0:1::", "fe00::1"] {
            assert_eq!(judge(ip), Err(Refusal::Reserved), "{ip}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_std_knows_as_special_is_public(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_broadcast() || ip.is_documentation()
                || ip.is_multicast() || ip.is_unspecified();
            prop_assert!(!special || is_public(IpAddr::V4(ip)).is_err());
            prop_assert_eq!(is_public(IpAddr::V6(ip.to_ipv6_mapped())), Err(Refusal::Ipv4InIpv6));
            prop_assert!(is_public(IpAddr::V6(ip.to_ipv6_compatible())).is_err());
        }

        #[test]
        fn only_global_unicast_is_public(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            prop_assert!(bits >> 125 == 1 || is_public(IpAddr::V6(ip)).is_err());
        }
    }
}
