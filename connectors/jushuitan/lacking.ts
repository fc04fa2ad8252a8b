/** Neither gateway hands these out. */
export const lackedOrders =
  'orders of Taobao and Pinduoduo, which go through Qimen alone, and archived ones (archive=true), which are not asked for';
export const archivedOrders = 'Whether orders that are archived need archive=true, which is not asked for.';
