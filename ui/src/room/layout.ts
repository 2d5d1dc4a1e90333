/** How the pictures are arranged. */
export type LayoutMode = 'grid' | 'speaker';

/** What the person chose, and what a shared screen has changed for as long as it is shown. */
export type LayoutState = { mode: LayoutMode; before: LayoutMode | null };

export type LayoutEvent =
  | { kind: 'toggle' }
  | { kind: 'pinned' }
  | { kind: 'share_started' }
  | { kind: 'share_ended' };

export const FIRST_LAYOUT: LayoutState = { mode: 'grid', before: null };

/** A shared screen gets the large place by itself; what the person chooses in between stays. */
export function nextLayout(state: LayoutState, event: LayoutEvent): LayoutState {
  switch (event.kind) {
    case 'toggle':
      return { mode: state.mode === 'grid' ? 'speaker' : 'grid', before: null };
    case 'pinned':
      return state.mode === 'speaker' ? state : { mode: 'speaker', before: null };
    case 'share_started':
      return state.mode === 'speaker' ? state : { mode: 'speaker', before: state.mode };
    case 'share_ended':
      return state.before === null ? state : { mode: state.before, before: null };
  }
}

/** Width over height of a tile: cameras' own shape, but square where the room is tall. */
export function tileAspect(width: number, height: number): number {
  return width < height ? 1 : 16 / 9;
}

/** The smallest tile in which a face can be seen, in CSS pixels. */
const TILE_MIN_WIDTH = 156;
/** More pictures at once overload phones and people. */
const TILES_MAX = 25;

/** The columns for which `count` tiles of equal shape become largest in a box. */
export function fitGrid(
  count: number,
  width: number,
  height: number,
  gap: number,
): { columns: number; tileWidth: number } {
  const aspect = tileAspect(width, height);
  let best = { columns: 1, tileWidth: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - gap * (columns - 1)) / columns;
    const byHeight = ((height - gap * (rows - 1)) / rows) * aspect;
    const tileWidth = Math.max(0, Math.floor(Math.min(byWidth, byHeight)));
    if (tileWidth > best.tileWidth) best = { columns, tileWidth };
  }
  return best;
}

/** How many tiles a page holds before they become too small. */
export function tilesPerPage(width: number, height: number, gap: number): number {
  const columns = Math.floor((width + gap) / (TILE_MIN_WIDTH + gap));
  const rows = Math.floor((height + gap) / (TILE_MIN_WIDTH / tileAspect(width, height) + gap));
  return Math.min(TILES_MAX, Math.max(1, columns * rows));
}
