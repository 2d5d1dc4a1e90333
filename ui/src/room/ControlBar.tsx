import type { ReactNode } from 'react';
import { Icon, type IconName } from '../ui/Icon.tsx';
import type { PanelName } from './RoomView.tsx';
import type { OwnDevice, OwnMedia } from './useOwnMedia.ts';

type Props = {
  own: OwnMedia;
  panel: PanelName | null;
  unread: number;
  /** Where the buttons put themselves, so that focus can come back to them. */
  openers: Map<PanelName, HTMLElement | null>;
  onPanel: (panel: PanelName) => void;
  onLeave: () => void;
};

/** The buttons below the pictures. */
export function ControlBar(props: Props) {
  const { own } = props;
  return (
    <section className="controls" aria-label="Call controls">
      <MediaButton
        device={own.microphone}
        icons={['mic', 'micOff']}
        labels={['Mute microphone', 'Unmute microphone']}
        shortcut="m"
      />
      <MediaButton
        device={own.camera}
        icons={['camera', 'cameraOff']}
        labels={['Stop camera', 'Start camera']}
        shortcut="v"
      />
      <ScreenButton device={own.screen} />
      <span className="controls-gap" />
      <PanelButton {...props} name="people" icon="people" label="Participants" shortcut="p" />
      <PanelButton {...props} name="chat" icon="chat" label="Chat" shortcut="c">
        {props.unread > 0 && (
          <span className="badge">
            {props.unread > 99 ? '99+' : props.unread}
            <span className="visually-hidden"> unread</span>
          </span>
        )}
      </PanelButton>
      <PanelButton {...props} name="settings" icon="settings" label="Settings" />
      <span className="controls-gap" />
      <ControlButton icon="leave" label="Leave" className="control-leave" onClick={props.onLeave} />
    </section>
  );
}

type ButtonProps = {
  icon: IconName;
  label: string;
  shortcut?: string;
  className?: string;
  expanded?: boolean;
  disabled?: boolean;
  children?: ReactNode;
  onClick: () => void;
  ref?: (element: HTMLButtonElement | null) => void;
};

function ControlButton(props: ButtonProps) {
  const hint = props.shortcut === undefined ? props.label : `${props.label} (${props.shortcut})`;
  return (
    <button
      ref={props.ref}
      type="button"
      className={`control ${props.className ?? ''}`}
      aria-label={props.label}
      aria-expanded={props.expanded}
      aria-keyshortcuts={props.shortcut}
      title={hint}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
      {props.children}
    </button>
  );
}

function MediaButton(props: {
  device: OwnDevice;
  icons: [IconName, IconName];
  labels: [string, string];
  shortcut: string;
}) {
  const { on, busy, available, toggle } = props.device;
  if (!available) return null;
  return (
    <ControlButton
      icon={props.icons[on ? 0 : 1]}
      label={props.labels[on ? 0 : 1]}
      shortcut={props.shortcut}
      className={on ? '' : 'control-off'}
      disabled={busy}
      onClick={() => void toggle()}
    />
  );
}

function ScreenButton({ device }: { device: OwnDevice }) {
  if (!device.available) return null;
  return (
    <ControlButton
      icon={device.on ? 'screenOff' : 'screen'}
      label={device.on ? 'Stop sharing' : 'Share screen'}
      shortcut="s"
      className={device.on ? 'control-active' : ''}
      disabled={device.busy}
      onClick={() => void device.toggle()}
    />
  );
}

function PanelButton(
  props: Props & {
    name: PanelName;
    icon: IconName;
    label: string;
    shortcut?: string;
    children?: ReactNode;
  },
) {
  const open = props.panel === props.name;
  return (
    <ControlButton
      ref={(element) => {
        props.openers.set(props.name, element);
      }}
      icon={props.icon}
      label={props.label}
      shortcut={props.shortcut}
      className={open ? 'control-active' : ''}
      expanded={open}
      onClick={() => props.onPanel(props.name)}
    >
      {props.children}
    </ControlButton>
  );
}
