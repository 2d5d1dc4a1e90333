import { useTracks } from '@livekit/components-react';
import { Track } from 'livekit-client';
import { useCallback, useEffect, useMemo, useReducer, useState } from 'react';
import { FIRST_LAYOUT, type LayoutMode, nextLayout } from './layout.ts';

export type Layout = {
  mode: LayoutMode;
  toggle: () => void;
  /** The key of the tile in the large place, if the person chose one. */
  pinned: string | null;
  pin: (key: string | null) => void;
};

const SCREEN = [Track.Source.ScreenShare];

/** Grid or speaker: the person's choice, and what a shared screen makes of it. */
export function useLayoutMode(): Layout {
  const [state, dispatch] = useReducer(nextLayout, FIRST_LAYOUT);
  const [pinned, setPinned] = useState<string | null>(null);
  const sharing = useTracks(SCREEN, { onlySubscribed: false }).length > 0;

  useEffect(() => {
    dispatch({ kind: sharing ? 'share_started' : 'share_ended' });
  }, [sharing]);

  const toggle = useCallback(() => dispatch({ kind: 'toggle' }), []);
  const pin = useCallback((key: string | null) => {
    setPinned(key);
    if (key !== null) dispatch({ kind: 'pinned' });
  }, []);

  return useMemo(
    () => ({ mode: state.mode, toggle, pinned, pin }),
    [state.mode, toggle, pinned, pin],
  );
}
