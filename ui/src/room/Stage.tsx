import {
  type TrackReferenceOrPlaceholder,
  useSpeakingParticipants,
  useTracks,
  useVisualStableUpdate,
} from '@livekit/components-react';
import { Track } from 'livekit-client';
import { type CSSProperties, useEffect, useRef, useState } from 'react';
import { Icon } from '../ui/Icon.tsx';
import { fitGrid, tileAspect, tilesPerPage } from './layout.ts';
import { Tile } from './Tile.tsx';
import { mainTile, tileKey } from './tiles.ts';
import type { Layout } from './useLayoutMode.ts';
import { useSize } from './useSize.ts';

/** Between tiles, in CSS pixels; the style sheet has the same. */
const GAP = 8;

const SOURCES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];

/** Everybody's pictures. */
export function Stage({ layout }: { layout: Layout }) {
  const tiles = useTracks(SOURCES, { onlySubscribed: false });
  const alone = tiles.every((tile) => tile.participant.isLocal);
  return (
    <main className="stage" aria-label="Participants' pictures">
      {layout.mode === 'speaker' && tiles.length > 1 ? (
        <SpeakerLayout tiles={tiles} layout={layout} />
      ) : (
        <GridLayout tiles={tiles} layout={layout} />
      )}
      {alone && (
        <p className="stage-note">
          You are the only one here. Others come in by their invite link.
        </p>
      )}
    </main>
  );
}

type LayoutProps = { tiles: TrackReferenceOrPlaceholder[]; layout: Layout };

/** Equal tiles, on several pages if they would become too small. */
function GridLayout({ tiles, layout }: LayoutProps) {
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const perPage = tilesPerPage(width, height, GAP);
  const sorted = useVisualStableUpdate(tiles, perPage);
  const pages = Math.max(1, Math.ceil(sorted.length / perPage));
  const [wanted, setPage] = useState(0);
  const page = Math.min(wanted, pages - 1);
  const shown = sorted.slice(page * perPage, (page + 1) * perPage);
  const { columns, tileWidth } = fitGrid(shown.length, width, height, GAP);
  const style = {
    '--columns': columns,
    '--tile-width': `${tileWidth}px`,
    '--aspect': tileAspect(width, height),
  } as CSSProperties;

  return (
    <div className="grid-box">
      <div className="grid-area" ref={box}>
        <div className="grid" style={style}>
          {shown.map((tile) => (
            <Tile
              key={tileKey(tile)}
              track={tile}
              pinned={false}
              onPin={tiles.length > 1 ? layout.pin : null}
            />
          ))}
        </div>
      </div>
      {pages > 1 && <Pager page={page} pages={pages} onPage={setPage} />}
    </div>
  );
}

function Pager(props: { page: number; pages: number; onPage: (page: number) => void }) {
  const { page, pages, onPage } = props;
  return (
    <nav className="pager" aria-label="Pages of participants">
      <button
        type="button"
        className="button button-quiet"
        disabled={page === 0}
        onClick={() => onPage(page - 1)}
      >
        Previous
      </button>
      <span aria-live="polite">
        {page + 1} of {pages}
      </span>
      <button
        type="button"
        className="button button-quiet"
        disabled={page === pages - 1}
        onClick={() => onPage(page + 1)}
      >
        Next
      </button>
    </nav>
  );
}

/** One large tile, the others in a strip. */
function SpeakerLayout({ tiles, layout }: LayoutProps) {
  const lastSpeaker = useLastSpeaker();
  const main = mainTile(tiles, layout.pinned, lastSpeaker);
  if (main === undefined) return null;
  const mainKey = tileKey(main);
  const others = tiles.filter((tile) => tileKey(tile) !== mainKey);
  return (
    <div className="speaker-layout">
      <div className="speaker-main">
        <Tile key={mainKey} track={main} pinned={layout.pinned === mainKey} onPin={layout.pin} />
      </div>
      {others.length > 0 && (
        <div className="strip">
          {others.map((tile) => (
            <Tile key={tileKey(tile)} track={tile} pinned={false} onPin={layout.pin} />
          ))}
        </div>
      )}
      {layout.pinned === mainKey && (
        <p className="visually-hidden">
          <Icon name="pin" /> This picture is pinned.
        </p>
      )}
    </div>
  );
}

/** The other person who spoke last, also after they have stopped. */
function useLastSpeaker(): string | null {
  const speaker = useSpeakingParticipants().find((participant) => !participant.isLocal);
  const identity = speaker?.identity ?? null;
  const [last, setLast] = useState<string | null>(null);
  useEffect(() => {
    if (identity !== null) setLast(identity);
  }, [identity]);
  return last;
}
