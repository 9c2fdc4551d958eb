use proptest::prelude::*;

use super::*;

fn guard(allowed: &[&str]) -> AddressGuard {
    let networks = allowed.iter().map(|n| n.parse().expect("a network"));
    AddressGuard::new(networks.collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What the saving of an endpoint says of a URL; one that cannot be read is refused there too.
fn refused(guard: &AddressGuard, text: &str) -> bool {
    Url::parse(text).map_or(true, |url| guard.check_url(&url).is_err())
}

/// Spellings of destinations that are forbidden without an allow-list.
const FORBIDDEN_URLS: &[&str] = &[
    // Loopback, as anybody would write it, and as `inet_aton` reads it.
    "http://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "http://127.0.0.53/",
    "http://127.255.255.254/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0X7F.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0x0.0.1/",
    "http://00000177.1/",
    "http://127.0.0.1./",
    "http://0/",
    "http://0.0.0.0/",
    "http://0.0.0.0:8080/",
    "http://0x0/",
    "http://00.00/",
    // Private, shared, link-local, reserved.
    "http://10.0.0.1/",
    "http://10.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://3232235777/",
    "http://0xc0a80101/",
    "http://192.168.257/",
    "http://100.64.0.1/",
    "http://169.254.1.1/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.51.100.7/",
    "http://203.0.113.9/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    // Metadata.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.16689662/",
    "http://169.254.43518/",
    "http://169.254.170.2/v2/credentials",
    "http://169.254.170.23/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://[fd00:ec2::254]/",
    "http://[fd00:0ec2:0:0::0:254]/",
    "http://[fd20:ce::254]/",
    "http://metadata.google.internal/",
    "http://METADATA.GOOGLE.INTERNAL./",
    // IPv6.
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::]/",
    "http://[::]:8080/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::FFFF:169.254.169.254]/",
    "http://[::ffff:0.0.0.0]/",
    "http://[::127.0.0.1]/",
    "http://[::a00:1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::a9fe:a9fe]/",
    "http://[64:ff9b:1:a9fe:a9:fe00::]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:a9fe:a9fe::]/",
    "http://[2001::5601:5601]/",
    "http://[2001:1ff::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[3fff:fff::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://[fc00::1]/",
    "http://[fdff::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[4000::1]/",
    "http://[1fff::1]/",
    // Unicode: fullwidth, circled, other dots, circled letters, soft hyphen.
    "http://１２７.０.０.１/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://１６９.２５４.１６９.２５４/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://local\u{ad}host/",
    // Percent encodings.
    "http://%31%32%37.0.0.1/",
    "http://127.0.0%2e1/",
    "http://%6c%6f%63alhost/",
    "http://%5b::1%5d/",
    // Userinfo, backslashes, fragments, control characters.
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1:80/",
    "http://example.com%40@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1\\@example.com/",
    "http:\\\\127.0.0.1\\",
    "http:127.0.0.1",
    "http:///127.0.0.1/",
    "http://127.0.\t0.1/",
    "http://127.0.0.1\n.example.com@10.0.0.1/",
    " http://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "hTtPs://[::1]/",
    // Local names.
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://LocalHost.:8080/",
    "http://a.localhost/",
    "http://printer.local/",
    "http://printer.LOCAL./",
    "http://db.internal/",
    "http://kubernetes/",
    "http://intranet./",
    "http://example.com../",
    // Schemes, judged before the host.
    "gopher://127.0.0.1/",
    "gopher://example.com/",
    "file:///etc/passwd",
    "ftp://example.com/",
    "ws://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:/run/docker.sock",
    "//example.com/",
    "example.com",
    "http://",
    "http://:80/",
    "http://[example.com]/",
    // Ports.
    "http://example.com:0/",
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:1023/",
    "http://example.com:6379/",
    "https://example.com:11211/",
    "http://8.8.8.8:5432/",
    "http://example.com:65536/",
];

const ALLOWED_URLS: &[&str] = &[
    "http://example.com/",
    "https://example.com/",
    "https://EXAMPLE.com./hook?a=b#c",
    "http://example.com:8080/",
    "http://example.com:1024/",
    "http://example.com:65535/",
    "https://user:password@example.com/",
    "http://good.com\\@127.0.0.1/",
    "https://bücher.example/",
    "https://local.example.com/",
    "https://localhost.example.com/",
    "https://notlocalhost.com/",
    "https://a.b.c.d.example/",
    "http://1.1.1.1/",
    "http://8.8.8.8:8443/",
    "http://134744072/",
    "http://93.184.216.34/",
    "http://9.255.255.255/",
    "http://11.0.0.0/",
    "http://100.63.255.255/",
    "http://100.128.0.0/",
    "http://126.255.255.255/",
    "http://128.0.0.0/",
    "http://169.253.255.255/",
    "http://169.255.0.0/",
    "http://172.15.255.255/",
    "http://172.32.0.0/",
    "http://192.0.1.1/",
    "http://192.0.3.1/",
    "http://192.88.98.1/",
    "http://192.167.1.1/",
    "http://192.169.1.1/",
    "http://198.17.255.255/",
    "http://198.20.0.0/",
    "http://198.51.101.1/",
    "http://203.0.112.1/",
    "http://168.63.129.17/",
    "http://223.255.255.255/",
    "http://[2606:4700:4700::1111]/",
    "http://[2001:4860:4860::8888]:8080/",
    "http://[2001:200::1]/",
    "http://[2001:db7::1]/",
    "http://[2003::1]/",
    "http://[2a00:1450::1]/",
    "http://[3fff:1000::1]/",
    "http://[3ffe::1]/",
];

#[test]
fn forbidden_urls_are_refused() {
    assert!(FORBIDDEN_URLS.len() >= 80);
    let passed: Vec<_> = FORBIDDEN_URLS.iter().filter(|u| !refused(&guard(&[]), u)).collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn public_urls_are_allowed() {
    let seen: Vec<_> = ALLOWED_URLS.iter().filter(|u| refused(&guard(&[]), u)).collect();
    assert!(seen.is_empty(), "{seen:#?}");
}

#[test]
fn https_only_refuses_http() {
    let guard = guard(&["127.0.0.0/8"]).https_only(true);
    let check = |text: &str| guard.check_url(&Url::parse(text).expect("a URL"));
    assert_eq!(check("http://example.com/"), Err(UrlRefused::HttpsOnly));
    assert_eq!(check("https://example.com/"), Ok(()));
    assert_eq!(guard.vet(false, None, 80, &[ip("127.0.0.1")]), Err(Blocked::Scheme));
}

#[test]
fn the_allow_list_overrides_names_ports_and_ranges() {
    let guard = guard(&["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"]);
    for url in ["http://127.0.0.1:22/", "http://10.1.2.3/", "http://[fd00::1]/", "http://db:5432/", "http://localhost/"]
    {
        assert!(!refused(&guard, url), "{url}");
    }
    for url in ["http://10.2.0.1/", "http://[::1]/", "http://8.8.8.8:22/"] {
        assert!(refused(&guard, url), "{url}");
    }
    let vet = |name, port, address| guard.vet(false, Some(name), port, &[ip(address)]);
    assert_eq!(vet("localhost", 22, "127.0.0.1"), Ok(()));
    assert_eq!(vet("localhost", 80, "8.8.8.8"), Err(Blocked::Name));
    assert_eq!(vet("example.com", 22, "8.8.8.8"), Err(Blocked::Port));
    assert_eq!(vet("example.com", 443, "8.8.8.8"), Ok(()));
}

#[test]
fn the_allow_list_looks_at_the_address_itself() {
    let v4 = guard(&["127.0.0.0/8", "0.0.0.0/0"]);
    assert_eq!(v4.check(ip("::ffff:127.0.0.1")), Err(Blocked::Range));
    assert_eq!(v4.check(ip("64:ff9b::7f00:1")), Err(Blocked::Range));
    let mapped = guard(&["::ffff:0:0/96"]);
    assert_eq!(mapped.check(ip("::ffff:127.0.0.1")), Ok(()));
    assert_eq!(mapped.check(ip("127.0.0.1")), Err(Blocked::Range));
}

#[test]
fn no_allow_list_opens_a_metadata_address() {
    let open = guard(&["0.0.0.0/0", "::/0", "169.254.169.254/32", "fd00:ec2::254/128"]);
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b::100.100.100.200",
        "64:ff9b:1::168.63.129.16",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:808:808::5601:5601",
    ] {
        assert_eq!(open.check(ip(address)), Err(Blocked::Metadata), "{address}");
    }
    assert_eq!(open.check(ip("169.254.1.1")), Ok(()));
}

#[test]
fn one_forbidden_answer_refuses_all() {
    let guard = guard(&[]);
    let public = ip("8.8.8.8");
    assert_eq!(guard.vet(true, Some("a.example"), 443, &[public, ip("1.1.1.1")]), Ok(()));
    for bad in ["127.0.0.1", "10.0.0.1", "::1", "fd00::1"] {
        for mixed in [[public, ip(bad)], [ip(bad), public]] {
            let seen = guard.vet(true, Some("a.example"), 443, &mixed);
            assert_eq!(seen, Err(Blocked::Range), "{mixed:?}");
        }
    }
}

#[test]
fn own_addresses_are_refused_unless_allow_listed() {
    let own: Vec<IpNet> = vec!["8.8.4.4/32".parse().expect("a network")];
    assert_eq!(guard(&[]).refusing(own.clone()).check(ip("8.8.4.4")), Err(Blocked::Own));
    assert_eq!(guard(&["8.8.4.0/24"]).refusing(own).check(ip("8.8.4.4")), Ok(()));
}

#[test]
fn refused_ports_are_sorted_for_the_search() {
    assert!(REFUSED_PORTS.is_sorted());
}

/// Some address of a forbidden range.
fn forbidden_v4() -> impl Strategy<Value = Ipv4Addr> {
    let ranges = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ];
    (prop::sample::select(ranges.to_vec()), any::<u32>()).prop_map(|(range, host)| {
        let net: ipnet::Ipv4Net = range.parse().expect("a network");
        let host = host & net.hostmask().to_bits();
        Ipv4Addr::from_bits(net.network().to_bits() | host)
    })
}

fn embeddings(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
    let bits = u128::from(v4.to_bits());
    let at = |prefix: &str| prefix.parse::<Ipv6Addr>().expect("a prefix").to_bits();
    [
        at("::ffff:0:0") | bits,
        bits,
        at("::ffff:0:0:0") | bits,
        at("64:ff9b::") | bits,
        at("64:ff9b:1::") | bits,
        at("2002::") | bits << 80,
        at("2001::") | bits << 64,
        at("2001::") | u128::from(!v4.to_bits()),
    ]
    .map(Ipv6Addr::from_bits)
    .to_vec()
}

proptest! {
    #[test]
    fn a_forbidden_v4_stays_forbidden_in_every_embedding(v4 in forbidden_v4()) {
        prop_assert!(guard(&[]).check(v4.into()).is_err());
        for v6 in embeddings(v4) {
            prop_assert!(guard(&[]).check(v6.into()).is_err(), "{v6}");
            // An allow-list of the IPv4 range says nothing about its embeddings.
            prop_assert!(guard(&["0.0.0.0/0"]).check(v6.into()).is_err(), "{v6}");
        }
    }

    #[test]
    fn only_global_unicast_v6_passes(bits in any::<u128>()) {
        let v6 = Ipv6Addr::from_bits(bits);
        let passes = guard(&[]).check(v6.into()).is_ok();
        prop_assert!(!passes || bits >> 125 == 1, "{v6}");
    }

    #[test]
    fn no_url_panics(text in ".{0,80}") {
        let _ = refused(&guard(&[]), &format!("http://{text}"));
    }
}
