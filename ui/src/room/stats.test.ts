import { describe, expect, it } from 'vitest';
import { layerOf, readPath, readTrack } from './stats.ts';

describe('layerOf', () => {
  const layers = [180, 360, 720].map((height, quality) => ({
    quality,
    height,
    width: (height * 16) / 9,
  }));

  it('finds the layer of a picture, also of one that was scaled or turned', () => {
    const name = (width: number | null, height: number | null) =>
      layerOf(layers, { width, height });
    expect(name(320, 180)).toBe('low layer');
    expect(name(600, 338)).toBe('medium layer');
    expect(name(720, 1280)).toBe('high layer');
    expect(name(null, null)).toBeNull();
  });

  it('says nothing where there is no choice', () => {
    expect(layerOf(layers.slice(2), { width: 1280, height: 720 })).toBeNull();
  });
});

describe('readTrack', () => {
  const sent = (timestamp: number, low: number, high: number) => [
    { type: 'codec', id: 'c1', mimeType: 'video/VP8' },
    { type: 'outbound-rtp', codecId: 'c1', timestamp, bytesSent: low, packetsSent: 10 },
    {
      type: 'outbound-rtp',
      codecId: 'c1',
      timestamp,
      bytesSent: high,
      packetsSent: 90,
      frameWidth: 1280,
      frameHeight: 720,
      framesPerSecond: 30,
    },
  ];

  it('adds the layers of simulcast up and shows the largest', () => {
    const first = readTrack(sent(1000, 100, 1000), undefined);
    expect(first.stats).toMatchObject({ bitrate: 0, lossPercent: null });
    const second = readTrack(sent(3000, 2600, 101_000), first.counters);
    expect(second.stats).toMatchObject({ codec: 'VP8', width: 1280, height: 720, fps: 30 });
    expect(second.stats.bitrate).toBe(((2500 + 100_000) * 8) / 2);
  });

  it('counts loss against all packets that should have come', () => {
    const received = (timestamp: number, packetsReceived: number, packetsLost: number) => [
      { type: 'inbound-rtp', timestamp, bytesReceived: 0, packetsReceived, packetsLost },
    ];
    const first = readTrack(received(0, 0, 0), undefined);
    expect(readTrack(received(1000, 90, 10), first.counters).stats.lossPercent).toBe(10);
  });

  it('shows nothing below zero when the counters begin anew', () => {
    const first = readTrack(sent(1000, 100, 100_000), undefined);
    expect(readTrack(sent(2000, 0, 0), first.counters).stats.bitrate).toBe(0);
  });

  it('survives an empty report', () => {
    expect(readTrack([], undefined).stats).toMatchObject({ codec: null, bitrate: 0 });
  });
});

describe('readPath', () => {
  it('takes the pair in use', () => {
    expect(
      readPath([
        { type: 'candidate-pair', id: 'p0', state: 'failed' },
        {
          type: 'candidate-pair',
          nominated: true,
          currentRoundTripTime: 0.012,
          remoteCandidateId: 'r',
        },
        { type: 'remote-candidate', id: 'r', protocol: 'udp', address: '192.0.2.1' },
      ]),
    ).toEqual({ rttMs: 12, path: 'UDP to 192.0.2.1' });
  });

  it('knows nothing before there is one', () => {
    expect(readPath([])).toEqual({ rttMs: null, path: null });
  });
});
