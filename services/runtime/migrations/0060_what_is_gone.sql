-- What was deleted because it was too old: when, whose, of which kind, by how many years, and how many rows.
CREATE TABLE let_go (
    done_on    date NOT NULL,
    owner      text NOT NULL,
    kind       text NOT NULL,
    years      integer NOT NULL,
    older_than timestamptz NOT NULL,
    rows       bigint NOT NULL CHECK (rows > 0),
    PRIMARY KEY (done_on, owner, kind, years)
);

-- Who is forgotten on request: a key and two numbers, nothing that names anybody. `version`: up to which nothing comes
-- back; `again`: the newest that said they are known again. Both only grow: the order in which words come is of no matter.
CREATE TABLE forgotten (
    kind         text COLLATE "C" NOT NULL,
    subject      uuid NOT NULL,
    owner        text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    again        bigint NOT NULL,
    figures      text NOT NULL CHECK (figures IN ('kept', 'erased')),
    forgotten_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)  -- one memory of each
);
CREATE INDEX forgotten_of_owner ON forgotten (owner);
-- Where a service lets requests from people ask whether somebody is forgotten, they ask of their own scopes.
SELECT keep_apart('forgotten', in_scope('owner'));

-- Whose contract is over: whatever of them is read again goes again.
CREATE TABLE ended_owner (
    owner    text COLLATE "C" PRIMARY KEY,
    ended_at timestamptz NOT NULL
);
