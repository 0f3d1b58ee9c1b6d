#include "dump_machine.h"

#include "health.h"
#include "operation.h"

static void dump_health(FILE *f) {
        fprintf(f, "  subgraph cluster_health {\n    label=\"health of a service\";\n");
        for (int s = 0; s < _HEALTH_MAX; s++)
                fprintf(f, "    h%d [label=\"%s\"];\n", s, health_to_string((Health)s));
        for (size_t i = 0; i < health_rows_n; i++) {
                const HealthRow *row = &health_rows[i];

                fprintf(f, "    h%d -> h%d [label=\"%u %s\\n%s\"];\n", row->state, row->next,
                        row->number, health_event_to_string(row->event), row->why);
        }
        fprintf(f, "  }\n");
}

static void dump_operation(FILE *f) {
        fprintf(f, "  subgraph cluster_operation {\n    label=\"life of an operation\";\n");
        for (int s = 0; s < _OPERATION_STATE_MAX; s++)
                fprintf(f, "    o%d [label=\"%s\"%s];\n", s,
                        operation_state_to_string((OperationState)s),
                        operation_is_closed((OperationState)s) ? ", peripheries=2" : "");
        for (size_t i = 0; i < operation_rows_n; i++) {
                const OperationRow *row = &operation_rows[i];

                fprintf(f, "    o%d -> o%d [label=\"%u %s\\n%s\"];\n", row->state, row->next,
                        row->number, operation_event_to_string(row->event), row->why);
        }
        fprintf(f, "  }\n");
}

void dump_machine_dot(FILE *f) {
        fprintf(f, "digraph rollbackd {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
        dump_health(f);
        dump_operation(f);
        fprintf(f, "}\n");
}
