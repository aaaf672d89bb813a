/** The one API that tokens are for, as a resource indicator (RFC 8707): the default when none is named. */
export const RESOURCE = 'urn:vigil:api'
