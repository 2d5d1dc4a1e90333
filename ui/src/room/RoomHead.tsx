import { useParticipants } from '@livekit/components-react';
import { Icon } from '../ui/Icon.tsx';
import type { Layout } from './useLayoutMode.ts';

/** The room's name and how many are in it. */
export function RoomHead(props: { name: string; layout: Layout; onHelp: () => void }) {
  const { layout } = props;
  const other = layout.mode === 'grid' ? 'Speaker view' : 'Grid view';
  const count = useParticipants().length;
  return (
    <header className="room-head">
      <h1>{props.name}</h1>
      <span className="room-count">
        <Icon name="people" /> {count}
        <span className="visually-hidden">{count === 1 ? ' participant' : ' participants'}</span>
      </span>
      <button
        type="button"
        className="button button-quiet button-icon room-layout"
        aria-label={other}
        aria-keyshortcuts="l"
        title={`${other} (l)`}
        onClick={layout.toggle}
      >
        <Icon name={layout.mode === 'grid' ? 'speakerLayout' : 'grid'} />
      </button>
      <button
        type="button"
        className="button button-quiet button-icon room-help"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        onClick={props.onHelp}
      >
        <Icon name="help" />
      </button>
    </header>
  );
}
