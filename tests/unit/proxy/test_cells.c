#include "tests/unit/base/unit.h"

#include "proxy/upstream/cells.h"
#include <string.h>

static void
a_part_takes_the_source_of_its_middle(void **state)
{
    (void)state;
    struct cells c;
    cells_init(&c, 9600); /* parts of 100 bytes */
    cells_mark(&c, 0, 50, 'u');
    assert_int_equal(c.of[0], '.');
    cells_mark(&c, 50, 51, 'u');
    assert_int_equal(c.of[0], 'u');
    cells_mark(&c, 149, 351, 'p');
    assert_memory_equal(c.of, "uppp.", 5);
    cells_mark(&c, 9550, 9600, 'r');
    assert_int_equal(c.of[95], 'r');
    assert_int_equal(strlen(c.of), CELLS);
}

static void
runs_side_by_side_mark_every_part_once(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 95, 96, 97, 1000003, 64ull << 30};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct cells c;
        cells_init(&c, sizes[i]);
        uint64_t step = sizes[i] / 37 + 1;
        for (uint64_t at = 0; at < sizes[i]; at += step)
            cells_mark(&c, at, at + step, 'p');
        assert_null(strchr(c.of, '.'));
    }
}

static void
without_a_size_nothing_is_marked(void **state)
{
    (void)state;
    struct cells c;
    cells_init(&c, 0);
    cells_mark(&c, 0, 100, 'u');
    assert_null(strchr(c.of, 'u'));
    cells_init(&c, 10);
    cells_mark(&c, 10, 20, 'u');
    assert_null(strchr(c.of, 'u'));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_takes_the_source_of_its_middle),
        cmocka_unit_test(runs_side_by_side_mark_every_part_once),
        cmocka_unit_test(without_a_size_nothing_is_marked),
    };
    return cmocka_run_group_tests_name("cells", tests, NULL, NULL);
}
