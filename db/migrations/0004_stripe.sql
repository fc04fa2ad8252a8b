CREATE TABLE "syncline"."stripe_events" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"created" timestamp with time zone NOT NULL,
	"request_id" text,
	"idempotency_key" text,
	"applied_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "stripe_events_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "syncline"."stripe_feeds" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"scope" text NOT NULL,
	"mark_at" timestamp with time zone NOT NULL,
	"hot_event" text,
	"seen_at" timestamp with time zone NOT NULL,
	"settled_first" timestamp with time zone NOT NULL,
	"settled_at" timestamp with time zone NOT NULL,
	"polled_at" timestamp with time zone,
	"live_at" timestamp with time zone
);
--> statement-breakpoint
CREATE INDEX "stripe_events_request" ON "syncline"."stripe_events" USING btree ("connection_id","request_id");--> statement-breakpoint
CREATE INDEX "stripe_events_key" ON "syncline"."stripe_events" USING btree ("connection_id","idempotency_key");--> statement-breakpoint
CREATE INDEX "stripe_events_created" ON "syncline"."stripe_events" USING btree ("connection_id","created");