// Every position instead of samples: the quick tests at full scale.
import './wal.test.ts';
