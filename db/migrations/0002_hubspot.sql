CREATE SCHEMA "syncline_capture";
--> statement-breakpoint
CREATE SEQUENCE "syncline"."hubspot_versions" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "syncline"."hubspot_calls" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "syncline"."hubspot_calls_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"connection_id" text NOT NULL,
	"keys" text[] NOT NULL,
	"lands_until" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "syncline"."hubspot_contacts" (
	"connection_id" text NOT NULL,
	"key" text COLLATE "C" NOT NULL,
	"sent_hash" "bytea",
	"sent_at" timestamp with time zone,
	"hubspot_id" text,
	"remote_id" text,
	"parked_hash" "bytea",
	"parked_under" text,
	CONSTRAINT "hubspot_contacts_connection_id_key_pk" PRIMARY KEY("connection_id","key")
);
--> statement-breakpoint
CREATE TABLE "syncline"."hubspot_dirty" (
	"connection_id" text NOT NULL,
	"key" text COLLATE "C" NOT NULL,
	"version" bigint NOT NULL,
	"since" timestamp with time zone DEFAULT now() NOT NULL,
	"held_until" timestamp with time zone,
	"tries" smallint DEFAULT 0 NOT NULL,
	CONSTRAINT "hubspot_dirty_connection_id_key_pk" PRIMARY KEY("connection_id","key")
);
--> statement-breakpoint
CREATE TABLE "syncline"."hubspot_syncs" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"turn" integer DEFAULT 0 NOT NULL,
	"mapping" text,
	"judged" text,
	"catalog" jsonb,
	"mark" text,
	"mark_list" text,
	"mark_after" text,
	"time_zone" text
);
--> statement-breakpoint
CREATE INDEX "hubspot_calls_connection" ON "syncline"."hubspot_calls" USING btree ("connection_id");--> statement-breakpoint
CREATE INDEX "hubspot_contacts_parked" ON "syncline"."hubspot_contacts" USING btree ("connection_id","parked_under") WHERE "syncline"."hubspot_contacts"."parked_hash" IS NOT NULL;--> statement-breakpoint
CREATE INDEX "hubspot_contacts_remote" ON "syncline"."hubspot_contacts" USING btree ("connection_id","remote_id") WHERE "syncline"."hubspot_contacts"."remote_id" IS NOT NULL;