import { statement } from '#controller/store/statement.ts';
import { providerColumns, type ProviderColumns } from './provider-columns.ts';

/** All provider accounts that anything was recorded of. */
export const readProviders = statement<[], ProviderColumns>({
  name: 'read_providers',
  repeatable: true,
  text: `select ${providerColumns} from providers p order by p.provider, p.account`,
});
