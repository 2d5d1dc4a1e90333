//! On close the peer hears BYE before DTLS ends, and no media after it.

use std::time::Duration;

use crate::pair::{Pair, Setup};
use str0m::rtp::RtpWrite;
use umbrella_engine::egress::Slab;
use umbrella_engine::secure::{DatagramKind, Out};

fn drain(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut sent = vec![];
    loop {
        let (egress, now) = (&mut pair.egress, pair.now);
        match pair
            .server
            .poll(&mut |ssrc| egress.sender_info(now, ssrc))
            .unwrap()
        {
            Out::Timeout(_) => return sent,
            Out::Event(_) => {}
            Out::Datagram(datagram) => sent.push(datagram.data),
        }
    }
}

#[test]
fn bye_goes_before_close_notify_and_media_stops() {
    let mut pair = Pair::connect(Setup {
        video: 3,
        ..Setup::default()
    });
    pair.run(Duration::from_secs(1));
    pair.server.close().unwrap();
    let sent = drain(&mut pair);
    let kinds: Vec<_> = sent
        .iter()
        .map(|datagram| DatagramKind::of(datagram))
        .collect();
    let first_dtls = kinds
        .iter()
        .position(|kind| *kind == DatagramKind::Dtls)
        .expect("an alert");
    let last_rtcp = kinds
        .iter()
        .rposition(|kind| *kind == DatagramKind::Rtcp)
        .expect("a BYE");
    assert!(last_rtcp < first_dtls, "{kinds:?}");
    for datagram in sent {
        pair.client.receive(pair.now, &datagram);
        pair.client.drain(pair.now);
    }
    assert!(
        pair.client.goodbyes >= pair.tracks.len(),
        "{} goodbyes",
        pair.client.goodbyes
    );
    assert!(pair.client.closed);
    pair.run(Duration::from_millis(50)); // writes more
    let sealer = pair.server.sealer().unwrap();
    assert_eq!(
        pair.egress
            .flush(pair.now, sealer, &mut Slab::default())
            .len(),
        0
    );
}

#[test]
fn what_str0m_sends_by_mistake_stays_inside() {
    let mut pair = Pair::connect(Setup::default());
    pair.run(Duration::from_millis(500));
    let (mid, pt) = (pair.tracks[0].mid, pair.formats.0.payload_type);
    let now = pair.now;
    {
        let mut api = pair.server.rtc().direct_api();
        let stream = api.stream_tx_by_mid(mid, None).unwrap();
        stream.write_rtp(RtpWrite::new(pt.into(), 1.into(), 1, now, vec![0u8; 50]));
    }
    pair.server.handle_timeout(now).unwrap();
    let sent = drain(&mut pair);
    assert!(
        sent.iter()
            .all(|datagram| DatagramKind::of(datagram) != DatagramKind::Rtp)
    );
    assert_eq!(pair.server.counters().rtp_dropped, 1);
}
