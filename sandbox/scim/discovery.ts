import type { Paging } from './lists.ts';
import { coreGroup, coreUser, enterprise, type Resource } from './resources.ts';

/** What the discovery resources are made from. */
export interface Claims {
  url: string;
  paging: Paging;
  pageSize: number;
  maxPageSize: number;
}

/** The body of `/ServiceProviderConfig`, `/ResourceTypes` or `/Schemas`; undefined for any other path. */
export function discover(path: string, claims: Claims): Resource | undefined {
  if (path === '/ServiceProviderConfig') return serviceProviderConfig(claims);
  if (path === '/ResourceTypes') return listed([resourceType(claims, 'User'), resourceType(claims, 'Group')]);
  if (path === '/Schemas') return listed([userSchema, groupSchema, enterpriseSchema].map((make) => make(claims.url)));
  return undefined;
}

function serviceProviderConfig({ url, paging, pageSize, maxPageSize }: Claims): Resource {
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig'],
    patch: { supported: true },
    bulk: { supported: false, maxOperations: 0, maxPayloadSize: 0 },
    filter: { supported: true, maxResults: maxPageSize },
    changePassword: { supported: false },
    sort: { supported: false },
    etag: { supported: false },
    pagination: {
      index: paging !== 'cursor',
      cursor: paging !== 'index',
      defaultPaginationMethod: paging === 'cursor' ? 'cursor' : 'index',
      defaultPageSize: pageSize,
      maxPageSize,
    },
    authenticationSchemes: [{ type: 'oauthbearertoken', name: 'Bearer token', description: 'One static token' }],
    meta: { resourceType: 'ServiceProviderConfig', location: `${url}/ServiceProviderConfig` },
  };
}

function resourceType({ url }: Claims, name: 'User' | 'Group'): Resource {
  return {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:ResourceType'],
    id: name,
    name,
    endpoint: `/${name}s`,
    schema: name === 'User' ? coreUser : coreGroup,
    schemaExtensions: name === 'User' ? [{ schema: enterprise, required: false }] : [],
    meta: { resourceType: 'ResourceType', location: `${url}/ResourceTypes/${name}` },
  };
}

function attribute(name: string, type: string, more: Resource = {}): Resource {
  const plain = { multiValued: false, required: false, caseExact: false, mutability: 'readWrite' };
  return { name, type, ...plain, returned: 'default', uniqueness: 'none', ...more };
}

const many = (name: string, parts: string[]) =>
  attribute(name, 'complex', { multiValued: true, subAttributes: parts.map((part) => attribute(part, 'string')) });

function schema(url: string, id: string, name: string, attributes: Resource[]): Resource {
  const meta = { resourceType: 'Schema', location: `${url}/Schemas/${id}` };
  return { schemas: ['urn:ietf:params:scim:schemas:core:2.0:Schema'], id, name, attributes, meta };
}

const userSchema = (url: string) =>
  schema(url, coreUser, 'User', [
    attribute('userName', 'string', { required: true, uniqueness: 'server' }),
    attribute('name', 'complex', {
      subAttributes: ['givenName', 'familyName', 'formatted'].map((part) => attribute(part, 'string')),
    }),
    attribute('displayName', 'string'),
    many('emails', ['value', 'type', 'primary']),
    many('phoneNumbers', ['value']),
    attribute('title', 'string'),
    attribute('active', 'boolean'),
    many('groups', ['value', 'display']),
  ]);

const groupSchema = (url: string) =>
  schema(url, coreGroup, 'Group', [
    attribute('displayName', 'string', { required: true }),
    many('members', ['value', 'type', 'display', '$ref']),
  ]);

const enterpriseSchema = (url: string) =>
  schema(url, enterprise, 'EnterpriseUser', [attribute('employeeNumber', 'string'), attribute('department', 'string')]);

function listed(resources: Resource[]): Resource {
  return {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:ListResponse'],
    totalResults: resources.length,
    startIndex: 1,
    itemsPerPage: resources.length,
    Resources: resources,
  };
}
