import { draw } from './ids.ts';

/** What a directory knows about one person. `null` means that the attribute is left out of the resource. */
export interface PersonFields {
  /** The login name, unique without regard to case. */
  userName: string;
  /** The number some other system gave the person, such as `E0000042`. */
  externalId: string | null;
  givenName: string | null;
  familyName: string | null;
  /** Default: given and family name, also after one of them is edited. */
  displayName: string | null;
  /** The primary work address. Default: the user name at birth; a rename does not change it. */
  email: string | null;
  phone: string | null;
  title: string | null;
  /** `false` is how most directories switch a person off. */
  active: boolean | null;
  employeeNumber: string | null;
  department: string | null;
}

const givenNames = [
  'Alva,Boro,Brónagh,Cirella,Dovan,Elunia,Ferrik,Gisla,Havok,Ilkara,Joril,Kestra,Lumila,Mirelle,Navor,Noëlla',
  'Orrinda,Pelkan,Quillan,Rasmo,Selvane,Søven,Tovinka,Ullara,Varrik,Wenka,Xandrel,Ysolda,Zorinne,Łucena,Änneka,Thessy',
]
  .join(',')
  .split(',');
const familyNames = [
  'Aldermoor,Brackwater,Corvenhall,Dunmarrow,Eskerdale,Fennholt,Grimsvane,Halvorsted,Inverlund,Jessamire,Kettlewick',
  'Lindqvarn,Marrowby,Nethercroft,Ostrevan,Pellworthy,Quillmark,Rookhaven,Sandersbo,Thornquist,Underhyll,Vantongel',
  'Wetherlow,Xelmond,Yarrowgate,Zellbrück,Ashgrove-Lind,Büttenhof,Ørsgard,Sainte-Rive,Tammerfors,Winterbourn',
]
  .join(',')
  .split(',');

/** Titles in a ring: the next one is what a bulk edit gives a person. */
export const titles = ['Clerk', 'Engineer', 'Planner', 'Analyst', 'Buyer', 'Fitter', 'Lead', 'Adviser', 'Auditor'];
/** Departments in a ring, used like {@link titles}. */
export const departments = ['Logistics', 'Assembly', 'Finance', 'Research', 'Service', 'Purchasing', 'Quality'];

const unitNames =
  'Harbour,Foundry,Orchard,Beacon,Quarry,Lantern,Meadow,Anchor,Summit,Delta,Ember,Granite,Juniper,Kiln,Linden,Mosaic'.split(
    ',',
  );

const slug = (name: string) =>
  name
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[øØ]/g, 'o')
    .replace(/[łŁ]/g, 'l')
    .replace(/[^A-Za-z]/g, '')
    .toLowerCase();
const givenSlugs = givenNames.map(slug);
const familySlugs = familyNames.map(slug);

/** The element that `number` falls on when the list is walked round and round. */
export const pick = <T>(list: readonly T[], number: number): T => list[number % list.length]!;

/** The display name that {@link bornAs} gives. */
export function nameAtBirth(seed: number, serial: number): string {
  const number = draw(seed, serial, 1);
  return `${pick(givenNames, number)} ${pick(familyNames, number >>> 8)}`;
}

/** Every person's fields before anybody edits them: the same for the same seed, row number and share of inactive people. */
export function bornAs(seed: number, serial: number, inactiveShare: number): PersonFields {
  const number = draw(seed, serial, 1);
  const given = number % givenNames.length;
  const family = (number >>> 8) % familyNames.length;
  const userName = `${givenSlugs[given]}.${familySlugs[family]}${serial}@example.org`;
  return {
    userName,
    externalId: `E${String(serial).padStart(7, '0')}`,
    givenName: givenNames[given]!,
    familyName: familyNames[family]!,
    displayName: nameAtBirth(seed, serial),
    email: userName,
    phone: `+999 ${String(number % 10_000_000).padStart(7, '0')}`,
    title: pick(titles, number >>> 16),
    active: draw(seed, serial, 2) / 2 ** 32 >= inactiveShare,
    employeeNumber: String(100_000 + serial),
    department: pick(departments, number >>> 20),
  };
}

/** A family name other than the one given, for bulk edits. */
export function otherFamilyName(name: string | null): string {
  return pick(familyNames, familyNames.indexOf(name ?? '') + 1);
}

/** The name of the `position`-th child of a group: two siblings never share one, cousins often do (as in real trees). */
export function unitName(seed: number, parent: number, position: number): string {
  const round = Math.floor(position / unitNames.length);
  const name = pick(unitNames, (draw(seed, parent, 3) % unitNames.length) + position);
  return round === 0 ? name : `${name} ${round + 1}`;
}
