import { useAudioPlayback, useChat } from '@livekit/components-react';
import { ConnectionState } from 'livekit-client';
import { useCallback, useEffect, useRef, useState } from 'react';
import type { Choices } from '../lobby/choices.ts';
import { Button } from '../ui/Button.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Spinner } from '../ui/Spinner.tsx';
import { ChatPanel } from './ChatPanel.tsx';
import { ControlBar } from './ControlBar.tsx';
import type { Call, CallState } from './call.ts';
import { DetailsPanel } from './DetailsPanel.tsx';
import { HelpDialog } from './HelpDialog.tsx';
import { ParticipantsPanel } from './ParticipantsPanel.tsx';
import { RoomHead } from './RoomHead.tsx';
import { SettingsPanel } from './SettingsPanel.tsx';
import { Stage } from './Stage.tsx';
import type { ShortcutAction } from './shortcuts.ts';
import { useAnnouncements } from './useAnnouncements.ts';
import { useConnection } from './useConnection.ts';
import { useLayoutMode } from './useLayoutMode.ts';
import { useOwnMedia } from './useOwnMedia.ts';
import { useShortcuts } from './useShortcuts.ts';
import { useUnread } from './useUnread.ts';
import { useWakeLock } from './useWakeLock.ts';

/** What can be open beside the pictures; one at a time. */
export type PanelName = 'chat' | 'people' | 'settings' | 'details';

type Props = {
  call: Call;
  state: CallState;
  choices: Choices;
  onChange: (changed: Partial<Choices>) => void;
};

/** Pictures, controls, and the panel beside them. */
export function RoomView({ call, state, choices, onChange }: Props) {
  const connection = useConnection();
  const [panel, setPanel] = useState<PanelName | null>(null);
  const [help, setHelp] = useState(false);
  const layout = useLayoutMode();
  const own = useOwnMedia(call);
  // Without options: an object made anew on each render would set the chat up anew each time.
  const chat = useChat();
  const unread = useUnread(chat.chatMessages, panel === 'chat');
  const openers = useRef(new Map<PanelName, HTMLElement | null>());

  useAnnouncements(call);
  useWakeLock();

  const toggle = useCallback((name: PanelName) => {
    setPanel((open) => (open === name ? null : name));
  }, []);

  const close = useCallback(() => {
    setPanel((open) => {
      // Focus goes back to where the panel was opened from.
      if (open !== null) openers.current.get(open)?.focus();
      return null;
    });
  }, []);

  useShortcuts(
    useCallback(
      (action: ShortcutAction) => {
        switch (action) {
          case 'microphone':
          case 'camera':
          case 'screen':
            return own[action].available ? void own[action].toggle() : undefined;
          case 'chat':
          case 'people':
          case 'details':
            return toggle(action);
          case 'layout':
            return layout.toggle();
          case 'help':
            return setHelp(true);
          case 'close':
            return close();
        }
      },
      [own, toggle, layout.toggle, close],
    ),
  );

  return (
    <div
      className="room"
      data-testid="room"
      data-state={roomState(state, connection)}
      data-room={call.grant.room}
    >
      <RoomHead name={call.grant.room} layout={layout} onHelp={() => setHelp(true)} />
      <Banner state={state} connection={connection} />
      <SoundBanner />
      <div className={panel === null ? 'room-body' : 'room-body with-panel'}>
        <Stage layout={layout} />
        {panel === 'chat' && <ChatPanel chat={chat} onClose={close} />}
        {panel === 'people' && <ParticipantsPanel call={call} onClose={close} />}
        {panel === 'settings' && (
          <SettingsPanel
            own={own}
            choices={choices}
            onChange={onChange}
            onDetails={() => toggle('details')}
            onClose={close}
          />
        )}
        {panel === 'details' && <DetailsPanel onClose={close} />}
      </div>
      <ControlBar
        own={own}
        panel={panel}
        unread={unread}
        openers={openers.current}
        onPanel={toggle}
        onLeave={call.leave}
      />
      <HelpDialog open={help} onClose={() => setHelp(false)} />
    </div>
  );
}

/** The state in one word, for the banner and for tests. */
function roomState(state: CallState, connection: ConnectionState) {
  if (state.kind !== 'connected') return 'connecting';
  return connection === ConnectionState.Connected ? 'connected' : 'reconnecting';
}

function Banner(props: { state: CallState; connection: ConnectionState }) {
  switch (roomState(props.state, props.connection)) {
    case 'connected':
      return null;
    case 'connecting':
      return (
        <div className="banner">
          <Spinner /> Connecting…
        </div>
      );
    case 'reconnecting':
      return (
        <div className="banner banner-warning">
          <Spinner /> Connection interrupted. Reconnecting…
        </div>
      );
  }
}

/** Browsers play no sound before the page is touched. */
function SoundBanner() {
  const { canPlayAudio, startAudio } = useAudioPlayback();
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!canPlayAudio) button.current?.focus();
  }, [canPlayAudio]);
  if (canPlayAudio) return null;
  return (
    <div className="banner">
      <Button kind="primary" onClick={() => void startAudio()}>
        <Icon name="speaker" /> Tap to hear the others
      </Button>
    </div>
  );
}
