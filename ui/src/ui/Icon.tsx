/** Line drawings on a 24 × 24 grid. */
const PATHS = {
  camera: 'M3 7h11a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Zm12 4 6-4v10l-6-4',
  cameraOff:
    'M3 3l18 18M9 7h5a1 1 0 0 1 1 1v5m0 2v1a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1h2m10 4 6-4v10l-4-2.6',
  chat: 'M4 5h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-8l-5 4v-4H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Z',
  check: 'M5 13l4.5 4.5L19 7',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V10a1 1 0 0 1 1-1ZM5 15H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v1',
  details: 'M4 20V12M10 20V6M16 20v-9M22 20V3',
  grid: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 17h.01',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5M12 8h.01',
  key: 'M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM11 12l8-8M16 7l3 3',
  leave: 'M10 4H5a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h5M15 8l4 4-4 4M19 12H9',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.6 1.6M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.6-1.6',
  mic: 'M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3ZM5 12a7 7 0 0 0 14 0M12 19v3',
  micOff:
    'M3 3l18 18M9 9v3a3 3 0 0 0 4.5 2.6M15 11V6a3 3 0 0 0-5.8-1M5 12a7 7 0 0 0 10.8 5.9M19 12a7 7 0 0 1-.6 2.8M12 19v3',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  people:
    'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2 20a7 7 0 0 1 14 0M16 4.3a3.5 3.5 0 0 1 0 6.4M18.5 14.5A7 7 0 0 1 22 20',
  pin: 'M9 4h6l-1 6 3 3H7l3-3-1-6ZM12 13v7',
  quality: 'M3 12h4l3-7 4 14 3-7h4',
  room: 'M4 20V5a1 1 0 0 1 1-1h9a1 1 0 0 1 1 1v15M15 8h4a1 1 0 0 1 1 1v11M2 20h20M11 12h.01',
  screen:
    'M3 5h18a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM8 21h8M12 14V8M9 11l3-3 3 3',
  screenOff:
    'M3 5h18a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM8 21h8M10 9l4 4M14 9l-4 4',
  send: 'M4 12 20 4l-5 16-3-7-8-1Z',
  settings:
    'M4 7h8M18 7h2M15 10a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM4 17h2M12 17h8M9 20a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z',
  servers:
    'M5 4h14a1 1 0 0 1 1 1v4a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1ZM5 14h14a1 1 0 0 1 1 1v4a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1v-4a1 1 0 0 1 1-1ZM8 7h.01M8 17h.01',
  signOut: 'M10 4H5a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h5M15 8l4 4-4 4M19 12H9',
  slow: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9.5 9v6M14.5 9v6',
  speaker: 'M4 9h4l5-4v14l-5-4H4zM16.5 8.5a5 5 0 0 1 0 7M19 6a9 9 0 0 1 0 12',
  speakerLayout: 'M3 4h13v16H3zM19 4h2v4h-2zM19 10h2v4h-2zM19 16h2v4h-2z',
  umbrella:
    'M12 3v1.5M4 13a8 7.5 0 0 1 16 0c-1.3-1.3-3.4-1.3-4 0-1.3-1.3-2.7-1.3-4 0-1.3-1.3-2.7-1.3-4 0-.6-1.3-2.7-1.3-4 0ZM12 13v5.5a2 2 0 0 1-4 0',
  warning: 'M12 4 2.5 20h19zM12 10v4M12 17h.01',
} as const;

export type IconName = keyof typeof PATHS;

/** Always beside a text or inside a named button, so it says nothing to a screen reader. */
export function Icon(props: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[props.name]} />
    </svg>
  );
}
