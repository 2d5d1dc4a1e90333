//! The reference model: who should hear whom, over which links, in how many copies.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use umbrella_room::mesh::{LayerDemand, LinkId};
use umbrella_room::model::{ParticipantId, RoomName, TrackId};

use super::net::{Net, Wire};

/// Compares what servers know and do with what follows from the network alone.
pub(super) fn check(net: &Net, rooms: &[RoomName]) -> Result<(), String> {
    for room in rooms {
        for node in 0..net.nodes.len() {
            check_people(net, room, node)?;
        }
        check_state(net, room)?;
    }
    // What goes over a link that holds everything up, and which nobody can do without, is not to
    // be known.
    if net.links.values().any(|wire| wire.stalled) {
        return Ok(());
    }
    check_media(net, rooms)
}

/// How many links lead from a server to every other one that can be reached, for a room.
fn distances(net: &Net, room: &RoomName, from: usize) -> BTreeMap<usize, usize> {
    let mut distances = BTreeMap::from([(from, 0)]);
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        let next = distances[&node] + 1;
        let wires = net
            .links
            .values()
            .filter(|wire| !wire.stalled && wire.carries(room));
        for wire in wires.filter(|wire| wire.ends.0 == node || wire.ends.1 == node) {
            let other = wire.other(node);
            if let Entry::Vacant(new) = distances.entry(other) {
                new.insert(next);
                queue.push_back(other);
            }
        }
    }
    distances
}

/// Where somebody is in a room, everybody who can be reached is known as they are, nobody else.
fn check_people(net: &Net, room: &RoomName, at: usize) -> Result<(), String> {
    let node = &net.nodes[at];
    let Some(local) = node.rooms.get(room) else {
        return Ok(());
    };
    let reachable = distances(net, room, at);
    let others = reachable.keys().filter(|other| **other != at);
    let mut expected = BTreeMap::new();
    for other in others {
        let there = net.nodes[*other].rooms.get(room);
        for (id, person) in there.into_iter().flat_map(|it| &it.here) {
            expected.insert(id.clone(), (net.nodes[*other].id.clone(), person.clone()));
        }
    }
    if local.elsewhere == expected {
        return Ok(());
    }
    // Behind a link that holds everything up somebody may seem to be reached who is gone.
    let near = |node: &usize| reachable.contains_key(node);
    let held_up = |wire: &Wire| wire.stalled && (near(&wire.ends.0) || near(&wire.ends.1));
    let held_up = net.links.values().any(held_up);
    let is_there = |node: &usize| net.nodes[*node].rooms.contains_key(room);
    let may_know = |id: &ParticipantId| {
        let mut there = reachable.keys().filter(|node| is_there(node));
        held_up && there.all(|node| local.elsewhere[id].0 != net.nodes[*node].id)
    };
    let strange = local
        .elsewhere
        .keys()
        .filter(|id| !expected.contains_key(id));
    let known = expected
        .iter()
        .all(|(id, it)| local.elsewhere.get(id) == Some(it));
    if known && strange.into_iter().all(may_know) {
        return Ok(());
    }
    let names = |of: &BTreeMap<ParticipantId, _>| of.keys().cloned().collect::<BTreeSet<_>>();
    let (knows, should) = (names(&local.elsewhere), names(&expected));
    Err(format!(
        "{} in {room}: does not know {:?}, should not know {:?}, or knows them as they were",
        node.id,
        should.difference(&knows).collect::<Vec<_>>(),
        knows.difference(&should).collect::<Vec<_>>(),
    ))
}

/// Who can reach each other agrees on what belongs to the room as a whole.
fn check_state(net: &Net, room: &RoomName) -> Result<(), String> {
    for (at, node) in net.nodes.iter().enumerate() {
        let Some(local) = node.rooms.get(room) else {
            continue;
        };
        for other in distances(net, room, at).into_keys() {
            let there = net.nodes[other].rooms.get(room);
            if let Some(there) = there.filter(|there| there.metadata != local.metadata) {
                return Err(format!(
                    "{room} is {:?} at {} and {:?} at {}",
                    local.metadata, node.id, there.metadata, net.nodes[other].id
                ));
            }
        }
    }
    Ok(())
}

/// Of every track, exactly the wanted layers cross, on the shortest ways, each link once.
fn check_media(net: &Net, rooms: &[RoomName]) -> Result<(), String> {
    let mut tracks = Vec::new();
    for room in rooms {
        for (at, node) in net.nodes.iter().enumerate() {
            let people = node
                .rooms
                .get(room)
                .into_iter()
                .flat_map(|it| it.here.values());
            for track in people.flat_map(|person| &person.tracks) {
                tracks.push((room, at, track.view.id.clone()));
            }
        }
    }
    for (room, origin, track) in &tracks {
        check_track(net, room, *origin, track)?;
    }
    let known: BTreeSet<_> = tracks.iter().map(|(_, _, track)| track).collect();
    for node in &net.nodes {
        let stray = node
            .carried
            .keys()
            .find(|(_, track)| !known.contains(track));
        if let Some((_, track)) = stray {
            return Err(format!("{} still sends {track}, which has ended", node.id));
        }
    }
    Ok(())
}

/// A stream of a track over a link, from one server to another.
type Edge = (usize, usize, LayerDemand);

fn check_track(net: &Net, room: &RoomName, origin: usize, track: &TrackId) -> Result<(), String> {
    let reachable = distances(net, room, origin);
    let wanted_at = |node: usize| {
        let local = net.nodes[node].rooms.get(room);
        let wish = local.and_then(|local| local.wants.get(track)).copied();
        wish.filter(|_| node != origin).unwrap_or_default()
    };
    let (arrived, edges) = walk(net, track, origin)?;
    check_edges(net, track, &edges, &wanted_at)?;
    for (node, distance) in &reachable {
        let wanted = !wanted_at(*node).is_none();
        let id = &net.nodes[*node].id;
        match arrived.get(node) {
            None if wanted => return Err(format!("{track} does not arrive at {id}")),
            Some(hops) if hops != distance => {
                return Err(format!(
                    "{track} takes {hops} links to {id}, not {distance}"
                ));
            }
            Some(_) | None => {}
        }
    }
    let sent_by = |node| sent(net, node, track).len();
    let total: usize = (0..net.nodes.len()).map(sent_by).sum();
    if total != edges.len() {
        return Err(format!(
            "{track} is sent {total} times and arrives {}",
            edges.len()
        ));
    }
    let demanded = net.nodes[origin].demanded.get(track).copied();
    let wanted = edges.iter().filter(|(from, ..)| *from == origin);
    let wanted = wanted.fold(LayerDemand::NONE, |all, (.., layers)| all.join(*layers));
    if demanded.unwrap_or_default() != wanted {
        return Err(format!(
            "the publisher of {track} is not asked for what is sent"
        ));
    }
    Ok(())
}

/// Follows a track from its origin along what is sent and accepted: how many links it takes to
/// each server, and over which it goes.
fn walk(
    net: &Net,
    track: &TrackId,
    origin: usize,
) -> Result<(BTreeMap<usize, usize>, Vec<Edge>), String> {
    let mut arrived = BTreeMap::from([(origin, 0)]);
    let mut queue = VecDeque::from([origin]);
    let mut edges = Vec::new();
    while let Some(node) = queue.pop_front() {
        let from = &net.nodes[node].id;
        for ((link, _), layers) in sent(net, node, track) {
            let Some(wire) = net.links.get(&link) else {
                return Err(format!("{from} sends {track} over a dead link"));
            };
            let other = wire.other(node);
            let to = &net.nodes[other];
            if to.asked.get(&(link, track.clone())) != Some(&layers) {
                return Err(format!(
                    "{from} sends {track} to {}, which does not want that",
                    to.id
                ));
            }
            edges.push((node, other, layers));
            let hops = arrived[&node] + 1;
            if arrived.insert(other, hops).is_some() {
                return Err(format!("{track} arrives twice at {}", to.id));
            }
            queue.push_back(other);
        }
    }
    Ok((arrived, edges))
}

/// Over every link goes what is wanted behind it and nothing else.
fn check_edges(
    net: &Net,
    track: &TrackId,
    edges: &[Edge],
    wanted_at: &impl Fn(usize) -> LayerDemand,
) -> Result<(), String> {
    for (from, to, layers) in edges {
        let behind = edges.iter().filter(|(node, ..)| node == to);
        let wanted = behind.fold(wanted_at(*to), |all, (.., layers)| all.join(*layers));
        if *layers != wanted {
            let (from, to) = (&net.nodes[*from].id, &net.nodes[*to].id);
            return Err(format!(
                "{track} from {from} to {to}: {layers:?}, not {wanted:?}"
            ));
        }
    }
    Ok(())
}

fn sent(net: &Net, node: usize, track: &TrackId) -> Vec<((LinkId, TrackId), LayerDemand)> {
    let carried = net.nodes[node].carried.iter();
    let carried = carried.filter(|((_, known), _)| known == track);
    carried
        .map(|(key, layers)| (key.clone(), *layers))
        .collect()
}

/// What somebody has said was read once everywhere.
pub(super) fn check_heard(
    net: &Net,
    room: &RoomName,
    from: usize,
    what: &[u8],
) -> Result<(), String> {
    for node in distances(net, room, from).into_keys() {
        let Some(local) = net.nodes[node].rooms.get(room).filter(|_| node != from) else {
            continue;
        };
        if local.read.get(what) != Some(&1) {
            let (from, what) = (&net.nodes[from].id, String::from_utf8_lossy(what));
            return Err(format!(
                "{} has not read {what:?} of {from}",
                net.nodes[node].id
            ));
        }
    }
    Ok(())
}
