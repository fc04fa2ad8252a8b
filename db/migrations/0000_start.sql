CREATE SCHEMA "org";
--> statement-breakpoint
CREATE SCHEMA "org_stage";
--> statement-breakpoint
CREATE SCHEMA "syncline";
--> statement-breakpoint
CREATE TABLE "org"."change_rows" (
	"plan_id" bigint NOT NULL,
	"no" integer NOT NULL,
	"step" text NOT NULL,
	"kind" text NOT NULL,
	"action" text NOT NULL,
	"source_id" text COLLATE "C" NOT NULL,
	"group_id" text COLLATE "C",
	"before" text[],
	"after" text[],
	"groups" text[],
	CONSTRAINT "change_rows_plan_id_no_pk" PRIMARY KEY("plan_id","no")
);
--> statement-breakpoint
CREATE TABLE "org"."conflicts" (
	"connection_id" text NOT NULL,
	"source_id" text COLLATE "C" NOT NULL,
	"user_name" text NOT NULL,
	"owner_connection_id" text NOT NULL,
	"owner_source_id" text COLLATE "C" NOT NULL,
	"plan_id" bigint NOT NULL,
	"first_seen" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone,
	CONSTRAINT "conflicts_connection_id_source_id_pk" PRIMARY KEY("connection_id","source_id")
);
--> statement-breakpoint
CREATE TABLE "org"."groups" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"tenant" text NOT NULL,
	"name" text NOT NULL,
	"parent_id" text COLLATE "C",
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "groups_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "org"."memberships" (
	"connection_id" text NOT NULL,
	"user_id" text COLLATE "C" NOT NULL,
	"group_id" text COLLATE "C" NOT NULL,
	"is_primary" boolean NOT NULL,
	"generation" bigint NOT NULL,
	CONSTRAINT "memberships_connection_id_user_id_group_id_pk" PRIMARY KEY("connection_id","user_id","group_id")
);
--> statement-breakpoint
CREATE TABLE "org"."plans" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "org"."plans_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"connection_id" text NOT NULL,
	"tenant" text NOT NULL,
	"epoch" integer NOT NULL,
	"attempt" integer NOT NULL,
	"workflow_id" text NOT NULL,
	"run_id" text NOT NULL,
	"mode" text NOT NULL,
	"scope" text NOT NULL,
	"dry_run" boolean NOT NULL,
	"partial" boolean NOT NULL,
	"verdict" text DEFAULT 'planned' NOT NULL,
	"steps" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"seats" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"applied_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "org"."stages" (
	"plan_id" bigint NOT NULL,
	"stream" text NOT NULL,
	"cursor" jsonb,
	"pages" integer DEFAULT 0 NOT NULL,
	"rows" integer DEFAULT 0 NOT NULL,
	"members" integer DEFAULT 0 NOT NULL,
	"unkeyed" integer DEFAULT 0 NOT NULL,
	"requests" integer DEFAULT 0 NOT NULL,
	"passes" integer DEFAULT 1 NOT NULL,
	"ended" jsonb,
	CONSTRAINT "stages_plan_id_stream_pk" PRIMARY KEY("plan_id","stream")
);
--> statement-breakpoint
CREATE TABLE "org"."users" (
	"connection_id" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	"tenant" text NOT NULL,
	"user_name" text NOT NULL,
	"user_name_key" text COLLATE "C",
	"display_name" text,
	"given_name" text,
	"family_name" text,
	"email" text,
	"phone" text,
	"title" text,
	"employee_number" text,
	"active" boolean DEFAULT true NOT NULL,
	"attributes" jsonb,
	"generation" bigint NOT NULL,
	"synced_at" timestamp with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp with time zone,
	CONSTRAINT "users_connection_id_id_pk" PRIMARY KEY("connection_id","id")
);
--> statement-breakpoint
CREATE TABLE "syncline"."claims" (
	"connection_id" text NOT NULL,
	"pipeline" text NOT NULL,
	"epoch" integer NOT NULL,
	"workflow_id" text NOT NULL,
	"run_id" text NOT NULL,
	"claimed_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "claims_connection_id_pipeline_pk" PRIMARY KEY("connection_id","pipeline")
);
--> statement-breakpoint
CREATE TABLE "syncline"."connections" (
	"id" text PRIMARY KEY NOT NULL,
	"no" integer GENERATED ALWAYS AS IDENTITY (sequence name "syncline"."connections_no_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1),
	"tenant" text NOT NULL,
	"platform" text NOT NULL,
	"base_url" text NOT NULL,
	"options" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"credential" "bytea",
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "connections_no_unique" UNIQUE("no")
);
--> statement-breakpoint
CREATE TABLE "syncline"."rejects" (
	"id" bigint GENERATED ALWAYS AS IDENTITY (sequence name "syncline"."rejects_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"connection_id" text NOT NULL,
	"pipeline" text NOT NULL,
	"stream" text NOT NULL,
	"source_id" text NOT NULL,
	"reason" text NOT NULL,
	"field" text,
	"record" text,
	"position" text,
	"epoch" integer NOT NULL,
	"first_seen" timestamp with time zone DEFAULT now() NOT NULL,
	"last_seen" timestamp with time zone DEFAULT now() NOT NULL,
	"resolved_at" timestamp with time zone,
	CONSTRAINT "rejects_connection_id_pipeline_stream_source_id_pk" PRIMARY KEY("connection_id","pipeline","stream","source_id"),
	CONSTRAINT "rejects_id_unique" UNIQUE("id")
);
--> statement-breakpoint
CREATE INDEX "memberships_group" ON "org"."memberships" USING btree ("connection_id","group_id");--> statement-breakpoint
CREATE INDEX "plans_connection" ON "org"."plans" USING btree ("connection_id","id");--> statement-breakpoint
CREATE UNIQUE INDEX "users_name" ON "org"."users" USING btree ("tenant","user_name_key");--> statement-breakpoint
CREATE VIEW "org"."changes" AS (SELECT plan_id, no, step, kind, action, source_id, group_id, CASE WHEN before IS NOT NULL THEN CASE kind WHEN 'group' THEN jsonb_strip_nulls(jsonb_build_object('name', before[1], 'parent_id', before[2])) WHEN 'user' THEN jsonb_strip_nulls(jsonb_build_object('user_name', before[1], 'display_name', before[2], 'given_name', before[3], 'family_name', before[4], 'email', before[5], 'phone', before[6], 'title', before[7], 'employee_number', before[8], 'active', before[9]::boolean, 'attributes', before[10]::jsonb)) WHEN 'membership' THEN jsonb_strip_nulls(jsonb_build_object('is_primary', before[1]::boolean)) END END AS before, CASE WHEN after IS NOT NULL THEN CASE kind WHEN 'group' THEN jsonb_strip_nulls(jsonb_build_object('name', after[1], 'parent_id', after[2])) WHEN 'user' THEN jsonb_strip_nulls(jsonb_build_object('user_name', after[1], 'display_name', after[2], 'given_name', after[3], 'family_name', after[4], 'email', after[5], 'phone', after[6], 'title', after[7], 'employee_number', after[8], 'active', after[9]::boolean, 'attributes', after[10]::jsonb)) WHEN 'membership' THEN jsonb_strip_nulls(jsonb_build_object('is_primary', after[1]::boolean)) END END AS after FROM org.change_rows
       UNION ALL
       SELECT c.plan_id, c.no, c.step, 'membership', 'add', c.source_id, g.group_id, NULL, jsonb_build_object('is_primary', g.n = 1)
       FROM org.change_rows c CROSS JOIN LATERAL unnest(c.groups) WITH ORDINALITY AS g(group_id, n));