/* What the files of naming share, and nobody else: naming.c (questions and answers) and
 * naming_tell.c (what is told to tracker and deputy). */
#ifndef P2P_NAMING_INSIDE_H
#define P2P_NAMING_INSIDE_H

#include "p2p/naming.h"

struct asking {
    struct naming_question q;
    int64_t begun_ms;
    int64_t next_ms; /* when it is asked again; of a shout too */
    unsigned tries;
    int64_t shout_end_ms;     /* 0: not shouted */
    enum names_state before;  /* shouted: what the tracker said */
    struct names_answer best; /* the youngest value that anybody told */
};

/* Something that this node learned. */
struct telling {
    struct wire_name_tell m; /* its age is of told_ms */
    int64_t told_ms;
    int64_t next_ms;
    unsigned left; /* times */
};

struct naming {
    struct names_holder self; /* fixed at new */
    struct names *names;
    size_t asks_count;
    struct asking asks[NAMING_ASKS_MAX];
    size_t tells_count;
    struct telling tells[NAMING_TELLS_MAX]; /* in the order of telling */
    struct names_own lately[NAMING_BATCH];  /* scratch */
    int64_t learn_ms;                       /* in office: nobody is told to resolve before */
    int64_t rejoin_ms;                      /* when a new tracker is told; 0: done */
    bool rejoin_last;                       /* it has been told once */
    int64_t deputy_ms;                      /* when a new deputy is told; 0: done */
    struct node_id deputy;                  /* who was seen as deputy last */
    struct rng rng;
};

/* naming.c */
bool naming_in_office(const struct swarms_at *at);
/* The tracker while there is one, NULL for this node or none. */
const struct member *naming_tracker(const struct swarms_at *at);
const struct member *naming_deputy(const struct swarms_at *at);
/* For what one question or one record leads to. */
bool naming_has_room(const struct plan *p);

/* naming_tell.c */
void naming_settle_tells(struct naming *n, const struct swarms_at *at, struct plan *p);
int64_t naming_tells_wake_ms(const struct naming *n);

#endif
