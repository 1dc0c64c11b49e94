"""`python -m codepmp_client.bulk` does what `codepmp-score` does."""

import sys

from codepmp_client.bulk.cli import main

sys.exit(main())
