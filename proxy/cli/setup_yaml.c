/* What k3s's registries.yaml says before setup puts its lines there. */
#include "base/mem.h"
#include "proxy/cli/setup.h"
#include <string.h>
#include <yaml.h>

struct setup_yaml {
    yaml_document_t doc;
    yaml_node_t *mirrors; /* NULL: none, or nothing in it */
};

static bool
is_text(const yaml_node_t *n, const char *text)
{
    return n && n->type == YAML_SCALAR_NODE && n->data.scalar.length == strlen(text) &&
           memcmp(n->data.scalar.value, text, n->data.scalar.length) == 0;
}

/* The value of the key in a mapping, and how many there are; NULL: none. */
static yaml_node_t *
find(yaml_document_t *doc, const yaml_node_t *in, const char *key, unsigned *ret_count)
{
    yaml_node_t *found = NULL;
    *ret_count = 0;
    if (!in || in->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *p = in->data.mapping.pairs.start; p < in->data.mapping.pairs.top;
         p++) {
        if (!is_text(yaml_document_get_node(doc, p->key), key))
            continue;
        found = yaml_document_get_node(doc, p->value);
        (*ret_count)++;
    }
    return found;
}

/* Behind the last document there is an empty one. */
static bool
is_last(yaml_parser_t *parser)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return false;
    bool empty = yaml_document_get_root_node(&next) == NULL;
    yaml_document_delete(&next);
    return empty;
}

static int
load(yaml_parser_t *parser, yaml_document_t *doc, struct err *e)
{
    if (!yaml_parser_load(parser, doc))
        return err_set(e, ERR_CONFIG, "line %zu: expected YAML: %s", parser->problem_mark.line + 1,
                       parser->problem ? parser->problem : "out of memory");
    if (!yaml_document_get_root_node(doc) || is_last(parser))
        return 0;
    yaml_document_delete(doc);
    return err_set(e, ERR_CONFIG, "expected one YAML document");
}

int
setup_yaml_open(const char *text, struct setup_yaml **ret, struct err *e)
{
    struct setup_yaml *y = mem_zalloc(sizeof *y);
    yaml_parser_t parser;
    unsigned count;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    int bad = load(&parser, &y->doc, e);
    yaml_parser_delete(&parser);
    if (bad) {
        mem_free(y);
        return bad;
    }
    y->mirrors = find(&y->doc, yaml_document_get_root_node(&y->doc), "mirrors", &count);
    if (count > 1) {
        setup_yaml_close(y);
        return err_set(e, ERR_CONFIG, "expected `mirrors:` once, its registries in lines below it");
    }
    *ret = y;
    return 0;
}

void
setup_yaml_close(struct setup_yaml *y)
{
    yaml_document_delete(&y->doc);
    mem_free(y);
}

enum setup_mirror
setup_yaml_mirror(struct setup_yaml *y, const char *host, const char *url)
{
    unsigned count;
    const yaml_node_t *one = find(&y->doc, y->mirrors, host, &count);
    const yaml_node_t *urls = find(&y->doc, one, "endpoint", &count);
    if (!one)
        return SETUP_MIRROR_NONE;
    if (urls && urls->type == YAML_SEQUENCE_NODE)
        for (const yaml_node_item_t *i = urls->data.sequence.items.start;
             i < urls->data.sequence.items.top; i++)
            if (is_text(yaml_document_get_node(&y->doc, *i), url))
                return SETUP_MIRROR_OURS;
    return SETUP_MIRROR_OTHERS;
}
