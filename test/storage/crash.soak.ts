// Every call and everything that may be left, instead of samples.
import './crash.test.ts';
