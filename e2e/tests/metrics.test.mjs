// What Prometheus is told of a call between real browsers.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { missing } from '../lib/settings.mjs';
import { suite } from '../lib/suite.mjs';
import { sleep, until } from '../lib/wait.mjs';

const TOKEN = 'figures-0123456789abcdef';
const things = suite('metrics', { UMBRELLA_METRICS_TOKEN: TOKEN });

/** All series with their values: the text format has one on each line. */
async function scrape() {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const { status, text } = await things.server.get('/metrics', { headers });
  assert.equal(status, 200, text);
  const samples = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return Object.fromEntries(samples.map((line) => {
    const end = line.lastIndexOf(' ');
    return [line.slice(0, end), Number(line.slice(end + 1))];
  }));
}

/** Series that may only grow. */
const counts = (series) => /_total|_duration_seconds/.test(series);

function assertNothingFell(before, after) {
  for (const [series, value] of Object.entries(before).filter(([name]) => counts(name))) {
    assert.ok(after[series] >= value, `${series} falls from ${value} to ${after[series]}`);
  }
}

/** Labels of the four ways of media. */
const WAYS = ['in', 'out'].flatMap((direction) => ['audio', 'video'].map((kind) => `{direction="${direction}",kind="${kind}"}`));

describe('a scraper', { skip: missing('chromium') }, () => {
  test('whoever has no token reads the figures', async () => {
    for (const headers of [{}, { authorization: 'Bearer figures' }, { 'x-forwarded-for': '127.0.0.1' }]) {
      const { status, text } = await things.server.get('/metrics', { headers });
      assert.equal(status, 401);
      assert.doesNotMatch(text, /umbrella_rooms/);
    }
  });

  test('media that flows is not counted, or the count falls when somebody leaves', async (t) => {
    const room = things.newRoom();
    const before = await scrape();
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((name) => things.clients.join('chromium', room, name)));
    await Promise.all([ann, bob].map((client) => client.publish({ camera: true, microphone: true })));
    await Promise.all([ann.seesMoving('bob'), bob.seesMoving('ann'), ann.hears('bob'), bob.hears('ann')]);
    const during = await scrape();
    assertNothingFell(before, during);
    assert.equal(during.umbrella_rooms, 1);
    assert.equal(during.umbrella_participants, 2);
    assert.equal(during['umbrella_tracks{kind="video"}'], 2);
    assert.equal(during['umbrella_subscriptions{kind="audio"}'], 2);
    assert.equal(during.umbrella_join_duration_seconds_count - before.umbrella_join_duration_seconds_count, 2);
    assert.ok(during['umbrella_peer_connections{protocol="udp"}'] >= 2);
    assert.ok(during.umbrella_key_frames_received_total > 0);
    await sleep(2_000);
    const later = await scrape();
    for (const way of WAYS) {
      for (const name of ['umbrella_rtp_packets_total', 'umbrella_rtp_payload_bytes_total']) {
        assert.ok(later[name + way] > during[name + way], `${name}${way} does not grow`);
      }
    }
    const known = await until('what bob\'s path carries is known', async () => {
      const figures = await scrape();
      const paths = Object.entries(figures).filter(([name]) => name.startsWith('umbrella_subscriber_paths'));
      const bands = paths.filter(([name, count]) => count > 0 && !name.includes('unknown'));
      return bands.length > 0 && bands;
    });
    t.diagnostic(`paths: ${JSON.stringify(known)}`);
    assertNothingFell(during, later);

    await ann.disconnect();
    const alone = await until('nobody is left for bob', async () => {
      const figures = await scrape();
      return figures.umbrella_participants === 1 && figures['umbrella_subscriptions{kind="video"}'] === 0 && figures;
    });
    assertNothingFell(later, alone);
    assert.equal(alone['umbrella_tracks{kind="video"}'], 1);
    await bob.disconnect();
    const connections = (figures) => Object.entries(figures)
      .filter(([series]) => series.startsWith('umbrella_peer_connections')).reduce((sum, [, value]) => sum + value, 0);
    const after = await until('nothing of them is left', async () => {
      const figures = await scrape();
      return figures.umbrella_participants === 0 && connections(figures) === 0 && figures;
    });
    assertNothingFell(alone, after);
    assert.equal(after['umbrella_leaves_total{reason="asked"}'], 2);
  });
});
