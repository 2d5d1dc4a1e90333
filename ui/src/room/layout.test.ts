import { describe, expect, it } from 'vitest';
import { FIRST_LAYOUT, fitGrid, nextLayout, tileAspect, tilesPerPage } from './layout.ts';

describe('fitGrid', () => {
  it('puts two people side by side on a wide screen and below each other on a phone', () => {
    expect(fitGrid(2, 1200, 600, 8).columns).toBe(2);
    expect(fitGrid(2, 344, 560, 8).columns).toBe(1);
  });

  it('never lets tiles reach beyond the box', () => {
    for (let count = 1; count <= 25; count++) {
      for (const [width, height] of [
        [344, 560],
        [1264, 650],
        [700, 300],
      ] as const) {
        const { columns, tileWidth } = fitGrid(count, width, height, 8);
        const rows = Math.ceil(count / columns);
        expect(columns * tileWidth + (columns - 1) * 8).toBeLessThanOrEqual(width);
        expect((rows * tileWidth) / tileAspect(width, height) + (rows - 1) * 8).toBeLessThanOrEqual(
          height + 1,
        );
      }
    }
  });

  it('survives a box that has no size yet', () => {
    expect(fitGrid(4, 0, 0, 8)).toEqual({ columns: 1, tileWidth: 0 });
  });
});

describe('tilesPerPage', () => {
  it('shows at least one and never too many', () => {
    expect(tilesPerPage(0, 0, 8)).toBe(1);
    expect(tilesPerPage(4000, 3000, 8)).toBe(25);
    expect(tilesPerPage(344, 560, 8)).toBe(6);
  });
});

describe('nextLayout', () => {
  it('shows a shared screen large, and goes back when it ends', () => {
    const shared = nextLayout(FIRST_LAYOUT, { kind: 'share_started' });
    expect(shared.mode).toBe('speaker');
    expect(nextLayout(shared, { kind: 'share_ended' }).mode).toBe('grid');
  });

  it('keeps what the person chose while a screen was shared', () => {
    let state = nextLayout(FIRST_LAYOUT, { kind: 'share_started' });
    state = nextLayout(state, { kind: 'toggle' });
    state = nextLayout(state, { kind: 'toggle' });
    expect(nextLayout(state, { kind: 'share_ended' }).mode).toBe('speaker');
  });
});
