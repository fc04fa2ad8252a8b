CREATE SCHEMA "syncline_pass";
--> statement-breakpoint
CREATE TABLE "syncline"."budget_waits" (
	"platform" text NOT NULL,
	"worker" text NOT NULL,
	"waits" jsonb NOT NULL,
	"until" timestamp with time zone NOT NULL,
	CONSTRAINT "budget_waits_platform_worker_pk" PRIMARY KEY("platform","worker")
);
--> statement-breakpoint
CREATE TABLE "syncline"."budgets" (
	"platform" text NOT NULL,
	"scope" text NOT NULL,
	"rate" smallint NOT NULL,
	"pace" double precision,
	"burst" double precision,
	"tokens" double precision,
	"bulk_tokens" double precision,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"served" double precision DEFAULT 0 NOT NULL,
	"factor" double precision DEFAULT 1 NOT NULL,
	"narrowed_at" timestamp with time zone DEFAULT 'epoch' NOT NULL,
	"blocked_until" timestamp with time zone DEFAULT 'epoch' NOT NULL,
	"live_at" timestamp with time zone DEFAULT 'epoch' NOT NULL,
	CONSTRAINT "budgets_platform_scope_rate_pk" PRIMARY KEY("platform","scope","rate")
);
--> statement-breakpoint
CREATE TABLE "syncline"."passes" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "syncline"."passes_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"connection_id" text NOT NULL,
	"stream" text NOT NULL,
	"kind" text NOT NULL,
	"scope" text NOT NULL,
	"from_time" timestamp with time zone,
	"to_time" timestamp with time zone,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"verdict" text,
	"counts" jsonb
);
--> statement-breakpoint
CREATE TABLE "syncline"."slices" (
	"pass_id" bigint NOT NULL,
	"no" integer NOT NULL,
	"from_ms" bigint,
	"to_ms" bigint,
	"after_id" text COLLATE "C",
	"to_id" text COLLATE "C",
	"cursor" jsonb,
	"done" boolean DEFAULT false NOT NULL,
	"pages" integer DEFAULT 0 NOT NULL,
	"rows" integer DEFAULT 0 NOT NULL,
	"seen" integer DEFAULT 0 NOT NULL,
	"written" integer DEFAULT 0 NOT NULL,
	"rejected" integer DEFAULT 0 NOT NULL,
	"requests" integer DEFAULT 0 NOT NULL,
	"rereads" integer DEFAULT 0 NOT NULL,
	"total" integer,
	"doubt" text,
	CONSTRAINT "slices_pass_id_no_pk" PRIMARY KEY("pass_id","no")
);
--> statement-breakpoint
CREATE TABLE "syncline"."streams" (
	"connection_id" text NOT NULL,
	"stream" text NOT NULL,
	"watermark" timestamp with time zone,
	"covered_from" timestamp with time zone,
	"full_at" timestamp with time zone,
	"scope" text NOT NULL,
	"doubt" text,
	"withheld" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "streams_connection_id_stream_pk" PRIMARY KEY("connection_id","stream")
);
--> statement-breakpoint
CREATE TABLE "syncline"."tokens" (
	"connection_id" text NOT NULL,
	"origin" text NOT NULL,
	"pair" "bytea",
	"asked_at" timestamp with time zone,
	"expires_at" timestamp with time zone,
	"version" integer DEFAULT 0 NOT NULL,
	"holder" text,
	"held_until" timestamp with time zone,
	"open_since" timestamp with time zone,
	"refused" text,
	"refused_at" timestamp with time zone,
	CONSTRAINT "tokens_connection_id_origin_pk" PRIMARY KEY("connection_id","origin")
);
--> statement-breakpoint
CREATE TABLE "syncline"."visits" (
	"connection_id" text NOT NULL,
	"stream" text NOT NULL,
	"over_id" text COLLATE "C" NOT NULL,
	"visited_at" timestamp with time zone,
	"pass_id" bigint NOT NULL,
	CONSTRAINT "visits_connection_id_stream_over_id_pk" PRIMARY KEY("connection_id","stream","over_id")
);
--> statement-breakpoint
CREATE INDEX "passes_stream" ON "syncline"."passes" USING btree ("connection_id","stream","id");--> statement-breakpoint
CREATE INDEX "visits_waiting" ON "syncline"."visits" USING btree ("connection_id","stream","over_id") WHERE visited_at IS NULL;