import { useCallback } from 'react';
import type { CameraEntry } from '../api/cameraTypes.ts';
import { api } from '../api/client.ts';
import type { RoomDetail } from '../api/types.ts';
import { useData } from './useData.ts';

const REFRESH_MS = 10_000;

/** A camera that invites can name. */
export type RoomCamera = {
  /** Its identity, which never changes. */
  id: string;
  name: string;
  room: string;
};

/** All cameras of this server, and those of linked servers as far as they are in a room now. */
export function useRoomCameras(): RoomCamera[] | null {
  const ask = useCallback(async () => {
    const [own, status] = await Promise.all([api.cameras(), api.status()]);
    return roomCameras(own, status.rooms);
  }, []);
  return useData(ask, REFRESH_MS).value;
}

/** By name, each once. */
export function roomCameras(own: readonly CameraEntry[], rooms: readonly RoomDetail[]) {
  const cameras: RoomCamera[] = own.map(({ id, name, room }) => ({ id, name, room }));
  const known = new Set(cameras.map(({ id, room }) => `${room}/${id}`));
  for (const { summary, participants } of rooms) {
    for (const { camera, identity, name } of participants) {
      if (!camera || known.has(`${summary.name}/${identity}`)) continue;
      cameras.push({ id: identity, name: name === '' ? identity : name, room: summary.name });
    }
  }
  return cameras.sort((a, b) => a.name.localeCompare(b.name));
}

/** Which cameras whoever comes by an invite sees; empty if that is all of them. */
export function camerasText(
  cameras: readonly string[] | null,
  known: readonly RoomCamera[] | null,
) {
  if (cameras === null) return '';
  if (cameras.length === 0) return 'sees no cameras';
  const text = `sees ${cameras.length} of the cameras`;
  if (known === null) return text;
  const named = known.filter(({ id }) => cameras.includes(id)).map(({ name }) => name);
  const gone = cameras.length - named.length;
  const rest = gone === 0 ? [] : [`${gone} that ${gone === 1 ? 'is' : 'are'} not here now`];
  return `${text}: ${[...named, ...rest].join(', ')}`;
}
